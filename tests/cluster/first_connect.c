/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connects with the first thing it does: IP PORT. Asks for / over HTTP and prints how long after its start the
 * connect() was called and done, then the answer, head and all. Static, so that nothing is loaded before.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long us(const struct timespec *a, const struct timespec *b)
{
	return (b->tv_sec - a->tv_sec) * 1000000 + (b->tv_nsec - a->tv_nsec) / 1000;
}

int main(int argc, char **argv)
{
	static const char ask[] = "GET / HTTP/1.1\r\nHost: first-echo:8080\r\nConnection: close\r\n\r\n";
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct timespec start, called, done;
	char answer[65536];
	size_t len = 0;
	ssize_t n;
	int fd, r;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (argc != 3)
		return 2;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_addr.s_addr = inet_addr(argv[1]);
	to.sin_port = htons((unsigned short)atoi(argv[2]));
	clock_gettime(CLOCK_MONOTONIC, &called);
	r = connect(fd, (struct sockaddr *)&to, sizeof(to));
	clock_gettime(CLOCK_MONOTONIC, &done);
	if (r < 0) {
		perror("connect");
		return 1;
	}
	if (write(fd, ask, sizeof(ask) - 1) < 0)
		return 1;
	while (len < sizeof(answer) - 1 && (n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
	printf("called %ld us connected %ld us\n%s\n", us(&start, &called), us(&called, &done), answer);
	return len == 0;
}
