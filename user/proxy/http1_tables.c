/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of HTTP/1: characters, errors, reason phrases. */
#include "core/mem.h"
#include "proxy/http1.h"
#include "proxy/http1_chars.h"

const uint8_t mesh_http1_chars[256] = {
	0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
	0,  0,  0,  0,  0,  0,  2,  15, 6,  3,  15, 15, 15, 15, 14, 14, 15, 15, 14, 15, 15, 6,  15, 15, 15, 15,
	15, 15, 15, 15, 15, 15, 14, 14, 6,  14, 6,  6,  6,  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
	15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14, 6,  14, 7,  15, 7,  15, 15, 15, 15, 15, 15, 15,
	15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6,  7,  6,  15, 0,  6,  6,
	6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
	6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
	6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
	6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
	6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,  6,
};

static const struct {
	int status;
	const char *text;
} errors[] = {
#define ERROR_ROW(id, status, text) {status, text},
	MESH_HTTP1_ERRORS(ERROR_ROW)
#undef ERROR_ROW
};

int mesh_http1_error_status(enum mesh_http1_error error)
{
	return errors[error].status;
}

const char *mesh_http1_error_text(enum mesh_http1_error error)
{
	return errors[error].text;
}

/* RFC 9110 section 15. */
static const struct {
	int status;
	const char *text;
} reasons[] = {
	{100, "Continue"},
	{101, "Switching Protocols"},
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{206, "Partial Content"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Payload Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{417, "Expectation Failed"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Entity"},
	{426, "Upgrade Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
};

const char *mesh_http1_reason(int status)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Unknown";
}

/* The IANA registry's methods that HTTP/1 servers meet; extensions are refused, as Envoy does by default. */
static const char *const methods[] = {
	"GET",      "POST",      "PUT",         "DELETE",     "HEAD",     "OPTIONS",    "PATCH",  "CONNECT", "TRACE",
	"COPY",     "LOCK",      "MKCOL",       "MOVE",       "PROPFIND", "SEARCH",     "UNLOCK", "BIND",    "REBIND",
	"UNBIND",   "ACL",       "REPORT",      "MKACTIVITY", "CHECKOUT", "MERGE",      "NOTIFY", "LINK",    "UNLINK",
	"M-SEARCH", "SUBSCRIBE", "UNSUBSCRIBE", "PROPPATCH",  "PURGE",    "MKCALENDAR", "SOURCE",
};

bool mesh_http1_method_known(struct mesh_slice method)
{
	for (size_t i = 0; i < MESH_ARRAY_SIZE(methods); i++)
		if (mesh_slice_eq(method, mesh_slice_str(methods[i])))
			return true;
	return false;
}
