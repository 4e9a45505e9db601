/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world for tests of the proxy whose upstream is a socket of the test itself: what is said on it, when, and how it
 * ends, stands in the test. One worker, one client connection, one endpoint.
 */
#ifndef MESH_PROXY_RAW_H
#define MESH_PROXY_RAW_H

#include "proxy/engine.h"
#include "proxy_lab.h"

static struct lab_proxy px;
static struct lab_message m;
static int fd = -1, listener = -1, server = -1; /* client; upstream: listening, accepted */
static uint16_t port;
static struct mesh_proxy_opts raw_opts = {.workers = 1}; /* of the worlds that follow */

LAB void start(void)
{
	struct timeval five = {.tv_sec = 5};

	listener = lab_listen(&port);
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &five, sizeof(five)); /* of accept() */
	lab_proxy_start(&px, &raw_opts, lab_config_any(NULL, (uint16_t[]){port, 0}));
	lab_listen_gateway(&px);
	fd = lab_connect(px.port);
}

LAB void stop(void)
{
	lab_proxy_stop(&px);
	mesh_cleanup_fd(&fd);
	mesh_cleanup_fd(&server);
	mesh_cleanup_fd(&listener);
	fd = server = listener = -1;
	lab_message_free(&m);
	m = (struct lab_message){0};
}

/* The next connection to the upstream, with a whole head read from it; its body, as much as came, stays in *in. */
LAB bool accepted(struct lab_message *in)
{
	struct timeval five = {.tv_sec = 5};

	mesh_cleanup_fd(&server);
	in->in.len = 0;
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 20}, sizeof(struct timeval));
	server = accept(listener, NULL, NULL); /* what does not come fails the test, and does not stop it */
	setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &five, sizeof(five));
	setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &five, sizeof(five));
	return server >= 0 && lab_read_head(server, in, MESH_HTTP1_REQUEST);
}

LAB bool accepted_any(void)
{
	struct lab_message in = {0};
	bool ok = accepted(&in);

	lab_message_free(&in);
	return ok;
}

LAB void reset(int *end)
{
	setsockopt(*end, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	mesh_cleanup_fd(end);
	*end = -1;
}

LAB void wait_requests_over(void)
{
	for (int i = 0; i < 600 && lab_stats(&px).requests_active; i++)
		lab_sleep_ms(5);
}

LAB bool answer_ok(void)
{
	return lab_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") && lab_response(fd, &m) &&
	       m.head.status == 200;
}

LAB void new_client(void)
{
	mesh_cleanup_fd(&server);
	mesh_cleanup_fd(&fd);
	fd = lab_connect(px.port);
	m.in.len = 0;
	wait_requests_over();
}

#endif
