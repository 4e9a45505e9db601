/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "control/admission.h"
#include "core/mem.h"

#define HEAD "{\"apiVersion\": \"admission.k8s.io/v1\", \"kind\": \"AdmissionReview\", \"request\": {\"uid\": \"u1\", "
#define RULE "\"kind\": {\"group\": \"networking.istio.io\", \"version\": \"v1beta1\", \"kind\": \"VirtualService\"}, "
#define META "\"metadata\": {\"name\": \"r\", \"namespace\": \"n\"}"
#define GOOD                                                                                                           \
	"{" META ", \"spec\": {\"hosts\": [\"h\"], \"http\": [{\"route\": [{\"destination\": {\"host\": \"h\"}}]}]}}"
#define BAD                                                                                                            \
	"{" META                                                                                                       \
	", \"spec\": {\"hosts\": [\"h\", \"h\"], \"http\": [{\"route\": [{\"destination\": {\"host\": \"h\"}}]}]}}"
#define TAIL "}}"

/* The response of the answer; NULL when the body is refused, why as text. */
static json_t *answer(const char *body, char *why, size_t size)
{
	mesh_auto(mesh_buf_free) struct mesh_buf text = {0};
	json_t *all = NULL, *response;
	int status = mesh_admission_review(mesh_slice_str(body), &all, &text);

	snprintf(why, size, "%d %s", status, text.data ? text.data : "");
	response = json_incref(json_object_get(all, "response"));
	json_decref(all);
	return response;
}

static const char *message_of(const json_t *response)
{
	return json_string_value(json_object_get(json_object_get(response, "status"), "message"));
}

TEST(a_good_object_is_allowed)
{
	char why[256];
	json_t *r = answer(HEAD RULE "\"operation\": \"CREATE\", \"object\": " GOOD TAIL, why, sizeof(why));

	CHECK_STR(why, "200 ");
	CHECK_STR(json_string_value(json_object_get(r, "uid")), "u1");
	CHECK(json_is_true(json_object_get(r, "allowed")));
	CHECK_INT(json_object_size(r), 2);
	json_decref(r);
}

TEST(a_bad_one_is_refused_with_every_cause)
{
	char why[256];
	json_t *r = answer(HEAD RULE "\"operation\": \"UPDATE\", \"oldObject\": " GOOD ", \"object\": " BAD TAIL, why,
			   sizeof(why)),
	       *status = json_object_get(r, "status");

	CHECK(json_is_false(json_object_get(r, "allowed")));
	CHECK_INT(json_integer_value(json_object_get(status, "code")), 422);
	CHECK_STR(json_string_value(json_object_get(status, "reason")), "Invalid");
	CHECK(strstr(message_of(r), "VirtualService.networking.istio.io \"r\" is invalid: spec.hosts"));
	CHECK_INT(json_array_size(json_object_get(json_object_get(status, "details"), "causes")), 1);
	json_decref(r);
}

TEST(what_has_no_effect_is_a_warning)
{
	char why[256];
	json_t *r = answer(HEAD RULE "\"operation\": \"CREATE\", \"object\": {" META
				     ", \"spec\": {\"hosts\": [\"h\"], \"http\": [{\"retries\": {\"attempts\": 2}, "
				     "\"route\": [{\"destination\": {\"host\": \"h\"}}]}]}}" TAIL,
			   why, sizeof(why));

	CHECK(json_is_true(json_object_get(r, "allowed")));
	CHECK(strstr(json_string_value(json_array_get(json_object_get(r, "warnings"), 0)), "spec.http[0].retries"));
	json_decref(r);
}

TEST(only_what_is_written_is_looked_at)
{
	static const char *const bodies[] = {
		HEAD RULE "\"operation\": \"DELETE\", \"object\": null, \"oldObject\": " BAD TAIL,
		HEAD RULE "\"operation\": \"UPDATE\", \"subResource\": \"status\", \"object\": " BAD TAIL,
		HEAD RULE "\"operation\": \"UPDATE\", \"object\": {\"metadata\": {\"name\": \"r\", "
			  "\"deletionTimestamp\": \"2026-01-01T00:00:00Z\"}, \"spec\": {}}" TAIL,
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(bodies); i++) {
		char why[256];
		json_t *r = answer(bodies[i], why, sizeof(why));

		CHECK(json_is_true(json_object_get(r, "allowed")));
		CHECK_INT(json_object_size(r), 2);
		json_decref(r);
	}
}

TEST(an_unknown_kind_passes_with_a_warning)
{
	char why[256];
	json_t *r = answer(HEAD "\"kind\": {\"group\": \"x\", \"version\": \"v1\", \"kind\": \"New\"}, \"operation\": "
				"\"CREATE\", \"object\": {}" TAIL,
			   why, sizeof(why));

	CHECK(json_is_true(json_object_get(r, "allowed")));
	CHECK_STR(json_string_value(json_array_get(json_object_get(r, "warnings"), 0)),
		  "New is not a kind that this version of the mesh knows: it was not checked");
	json_decref(r);
}

TEST(what_is_no_review_is_refused)
{
	static const struct {
		const char *body, *why;
	} rows[] = {
		{"", "400 the body is not JSON: line 1: '[' or '{' expected near end of file"},
		{"[]", "400 kind: must be AdmissionReview"},
		{"{\"kind\": \"AdmissionReview\", \"apiVersion\": \"admission.k8s.io/v1beta1\"}",
		 "400 apiVersion: must be admission.k8s.io/v1"},
		{"{\"kind\": \"AdmissionReview\", \"apiVersion\": \"admission.k8s.io/v1\"}",
		 "400 request: must be an object"},
		{"{\"kind\": \"AdmissionReview\", \"apiVersion\": \"admission.k8s.io/v1\", \"request\": {\"uid\": 1}}",
		 "400 request.uid: must be a string that is not empty"},
		{HEAD "\"operation\": 7" TAIL, "400 request.operation: must be CREATE, UPDATE, DELETE or CONNECT"},
		{HEAD "\"operation\": \"CREATE\"" TAIL, "400 request.kind.kind: must be a string that is not empty"},
		{HEAD RULE "\"operation\": \"CREATE\", \"object\": []" TAIL, "400 request.object: must be an object"},
	};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(rows); i++) {
		char why[256];
		json_t *r = answer(rows[i].body, why, sizeof(why));

		CHECK(!r);
		CHECK_STR(why, rows[i].why);
	}
}

TEST(deep_nesting_is_refused)
{
	mesh_auto(mesh_buf_free) struct mesh_buf body = {0};
	char why[256];
	json_t *r;

	for (int i = 0; i < 1000; i++)
		mesh_buf_str(&body, "{\"a\":");
	mesh_buf_char(&body, '1');
	for (int i = 0; i < 1000; i++)
		mesh_buf_char(&body, '}');
	r = answer(body.data, why, sizeof(why));
	CHECK(!r);
	CHECK_STR(why, "400 the body is nested deeper than 100 levels");
}

TEST(a_review_cut_short_anywhere_is_refused)
{
	static const char body[] = HEAD RULE "\"operation\": \"CREATE\", \"object\": " GOOD TAIL;

	for (size_t len = 0; len < sizeof(body) - 1; len++) {
		mesh_auto(mesh_buf_free) struct mesh_buf why = {0};
		json_t *all = NULL;

		CHECK_INT(mesh_admission_review(mesh_slice_of(body, len), &all, &why), 400);
		CHECK(!all && why.len);
	}
}

TEST_MAIN()
