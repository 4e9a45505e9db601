/* SPDX-License-Identifier: Apache-2.0 */
#include "core/time.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

const char *mesh_time_text(int64_t seconds, char out[MESH_TIME_TEXT])
{
	static const int64_t year_1000 = -30610224000, year_9999 = 253402300799; /* four digits, as RFC 3339 has them */
	time_t t = (time_t)(seconds < year_1000 ? year_1000 : seconds > year_9999 ? year_9999 : seconds);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, MESH_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

const char *mesh_time_text_micro(char out[MESH_TIME_TEXT])
{
	struct timespec now;
	struct tm tm;
	char text[20];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, MESH_TIME_TEXT, "%s.%06uZ", text, (unsigned)(now.tv_nsec / 1000) % 1000000);
	return out;
}

int mesh_time_parse(const char *text, int64_t *ret)
{
	struct tm tm = {0};

	if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
		return -EINVAL;
	*ret = timegm(&tm);
	return 0;
}
