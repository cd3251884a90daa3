// Answers every request with "Hello World", on the port that the job file names.
"use strict";

const http = require("http");

http
  .createServer((request, response) => {
    response.writeHead(200, { "Content-Type": "text/plain" });
    response.end("Hello World\n");
  })
  .listen(Number(process.env.PORT), "127.0.0.1");
