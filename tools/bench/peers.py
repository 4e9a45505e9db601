# SPDX-License-Identifier: Apache-2.0
"""Configurations of the proxies that the bench stands beside: as one hop, or as sidecars that traffic is redirected to."""
import json
import os
import re
import subprocess

HAPROXY = """
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  option http-keep-alive
  http-reuse always
frontend f
  bind 0.0.0.0:{port}
  default_backend b
backend b
  server s {up}
"""
NGINX_HOP = """
worker_processes 1; daemon off; error_log /dev/null crit; pid {dir}/nginx-{port}.pid;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 3600; proxy_buffering off; proxy_http_version 1.1;
  client_body_temp_path {dir}/tmp; proxy_temp_path {dir}/tmp; fastcgi_temp_path {dir}/tmp; uwsgi_temp_path {dir}/tmp; scgi_temp_path {dir}/tmp;
  upstream u {{ server {up}; keepalive 512; keepalive_requests 100000000; keepalive_timeout 3600; }}
  server {{ listen {port}; location / {{ proxy_pass http://u; proxy_set_header Host $http_host; proxy_set_header Connection ""; }} }} }}
"""
TYPE = "type.googleapis.com/envoy.extensions."
# Ports that ztunnel listens on: for other ztunnels, by mTLS, and for its counters.
HBONE, ZTUNNEL_STATS = 15008, 15020


def certificates(directory):
    """A CA and one certificate for both sides, under directory."""
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=bench CA")
    openssl("req", *key, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=bench")
    with open(directory + "/san", "w", encoding="utf-8") as f:
        f.write("subjectAltName=URI:spiffe://cluster.local/ns/bench/sa/default\n")
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "leaf.pem", "-days", "2", "-extfile", "san")
    for name in ("leaf.key", "leaf.pem", "ca.pem"):
        os.chmod(f"{directory}/{name}", 0o644)


def envoy(port, up, admin, tls=None, directory=""):
    """A bootstrap with one HTTP listener and one upstream. tls: "server" or "client", mutual in both."""
    host, up_port = up.rsplit(":", 1)
    manager = {
        "@type": TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "bench", "generate_request_id": True,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {
            "cluster": "up", "timeout": "0s", "retry_policy": {"retry_on": "connect-failure,refused-stream,unavailable,cancelled", "num_retries": 2}}}]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": TYPE + "filters.http.router.v3.Router"}}]}
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    many = {"max_connections": 100000, "max_requests": 100000, "max_pending_requests": 100000, "max_retries": 100000}
    cluster = {"name": "up", "type": "STATIC", "connect_timeout": "10s", "circuit_breakers": {"thresholds": [many]}, "load_assignment": {
        "cluster_name": "up", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": host, "port_value": int(up_port)}}}}]}]}}
    common = {"tls_certificates": [{"certificate_chain": {"filename": directory + "/leaf.pem"}, "private_key": {"filename": directory + "/leaf.key"}}],
              "validation_context": {"trusted_ca": {"filename": directory + "/ca.pem"}},
              "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}}
    if tls == "server":
        chain["transport_socket"] = {"name": "tls", "typed_config": {
            "@type": TYPE + "transport_sockets.tls.v3.DownstreamTlsContext", "require_client_certificate": True, "common_tls_context": common}}
    if tls == "client":
        cluster["transport_socket"] = {"name": "tls", "typed_config": {"@type": TYPE + "transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": common}}
    listener = {"address": {"socket_address": {"address": "0.0.0.0", "port_value": port}}, "filter_chains": [chain]}
    return json.dumps({"node": {"id": "bench", "cluster": "bench"}, "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
                       "static_resources": {"listeners": [listener], "clusters": [cluster]}})


def ztunnel(pods):
    """What ztunnels are to know of the mesh: pods, (namespace, name) -> address, that all have one."""
    workloads = [{"uid": f"bench//Pod/{ns}/{name}", "name": name, "namespace": ns, "serviceAccount": "default", "workloadIps": [ip],
                  "protocol": "HBONE", "node": "bench", "network": "", "services": {}} for (ns, name), ip in pods.items()]
    return json.dumps({"workloads": workloads, "policies": [], "services": []})


def ztunnel_env(where, conf):
    """
    What a ztunnel of one pod is set by: where is (namespace, name) of the pod. Certificates are of a CA that is compiled in.
    The client's address as source would take privileges that our proxies do not have.
    """
    ns, name = where
    return [f"PROXY_WORKLOAD_INFO={ns}/{name}/default", f"LOCAL_XDS_PATH={conf}", "PROXY_MODE=dedicated", "FAKE_CA=true", "XDS_ADDRESS=",
            "ENABLE_ORIG_SRC=false", "IPV6_ENABLED=false", "ZTUNNEL_WORKER_THREADS=2", "RUST_LOG=error"]


def ztunnel_mutual(counters):
    """How many connections of other pods a ztunnel has accepted by mTLS, of the text of its counters."""
    lines = [line for line in counters.splitlines() if line.startswith("istio_tcp_connections_opened_total{")]
    return sum(int(line.split()[-1]) for line in lines if re.search('reporter="destination".*connection_security_policy="mutual_tls"', line))
