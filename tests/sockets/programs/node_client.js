// SPDX-License-Identifier: Apache-2.0
// Requests with bodies on connections that are kept, and a tunnel; says what came back.
const http = require("http");
const crypto = require("crypto");

const host = process.argv[2], port = Number(process.argv[3]);
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
const digest = (data) => crypto.createHash("sha256").update(data).digest("hex");
const bytes = (n, key) => crypto.createCipheriv("aes-128-ctr", Buffer.alloc(16, key), Buffer.alloc(16)).update(Buffer.alloc(n));

function post(i) {
	const body = bytes([1, 1000, 65537, 3000000][i % 4], i);
	return new Promise((resolve, reject) => {
		const request = http.request({ host, port, agent, method: "POST", path: "/" + i }, (response) => {
			const parts = [];
			response.on("data", (part) => parts.push(part));
			response.on("end", () => resolve(digest(Buffer.concat(parts)) === digest(body) && response.statusCode === 200));
			response.on("error", reject);
		});
		request.on("error", reject);
		for (let at = 0; at < body.length; at += 50000)
			request.write(body.subarray(at, at + 50000));
		request.end();
	});
}

function tunnel() {
	const body = bytes(2000000, 99);
	return new Promise((resolve, reject) => {
		const request = http.request({ host, port, headers: { connection: "Upgrade", upgrade: "echo" } });
		request.on("upgrade", (response, socket, head) => {
			const parts = [head];
			socket.on("data", (part) => parts.push(part));
			socket.on("end", () => resolve(digest(Buffer.concat(parts)) === digest(body)));
			socket.on("error", reject);
			socket.end(body);
		});
		request.on("error", reject);
		request.end();
	});
}

(async () => {
	const right = await Promise.all(Array.from({ length: 80 }, (_, i) => post(i)));
	console.log(right.filter(Boolean).length + " of 80 bodies right");
	console.log("tunnel " + ((await tunnel()) ? "right" : "wrong"));
	agent.destroy();
})().catch((error) => {
	console.log("failed: " + error.message);
	process.exit(1);
});
