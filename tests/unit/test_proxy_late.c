/* SPDX-License-Identifier: Apache-2.0 */
/* A loop that has more to do than time: what waits for it is not what is late. */
#include "proxy_raw.h"

#include <poll.h>

enum { CLIENTS = 600 }; /* more than a loop takes in one round */

static void hold_up(void *arg)
{
	(void)arg;
	lab_sleep_ms(200);
}

/* Whoever asks meanwhile is connected for in one round, and the answers to that come in several. */
TEST(a_connect_that_is_done_is_not_out_of_time)
{
	struct pollfd clients[CLIENTS];
	char buf[256];
	int answered = 0;

	raw_opts.connect_timeout_ns = 1;
	start();
	CHECK(listen(listener, 4096) == 0); /* more than before */
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = (struct pollfd){.fd = lab_connect(px.port), .events = POLLIN};
	lab_sleep_ms(50);
	mesh_loop_post(px.proxy->workers[0].loop, hold_up, NULL);
	for (int i = 0; i < CLIENTS; i++)
		CHECK(lab_say(clients[i].fd, GET("/")));
	/* Nobody accepts, so nobody is answered; but all are connected. */
	poll(clients, CLIENTS, 1000);
	for (int i = 0; i < CLIENTS; i++)
		answered += recv(clients[i].fd, buf, sizeof(buf), MSG_DONTWAIT) > 0;
	CHECK_INT(answered, 0);
	CHECK_INT(lab_stats(&px).requests_active, CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i].fd);
	stop();
	raw_opts.connect_timeout_ns = 0;
}

TEST_MAIN()
