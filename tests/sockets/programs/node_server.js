// SPDX-License-Identifier: Apache-2.0
// Answers each request with its own body, streamed back; an Upgrade with a tunnel that echoes.
const http = require("http");

const server = http.createServer((request, response) => {
	response.setHeader("x-method", request.method);
	request.pipe(response);
});
server.on("upgrade", (request, socket, head) => {
	socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
	if (head.length)
		socket.write(head);
	socket.on("error", () => socket.destroy());
	socket.pipe(socket);
});
server.listen(Number(process.argv[2]));
