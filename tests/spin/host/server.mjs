// HTTP in: a request becomes one of WASI's, and its answer goes out piece by piece.
import http from "node:http";
import { Request, Response, fields, incoming, outgoing, raw } from "./messages.mjs";

/** Serves on a port of the loopback address. */
export async function serve(fleet, port) {
  const server = http.createServer((asked, answer) => {
    respond(fleet, asked, answer).catch((error) => {
      console.error("host:", error?.payload ?? error);
      if (answer.headersSent) answer.destroy();
      else answer.writeHead(500).end();
    });
  });
  server.requestTimeout = 0;
  await new Promise((ready) => server.listen(port, "127.0.0.1", ready));
  return {
    port: server.address().port,
    close: () => new Promise((closed) => (server.close(closed), server.closeIdleConnections())),
  };
}

async function respond(fleet, asked, answer) {
  const left = new Promise((leave) => answer.on("close", () => answer.writableFinished || leave()));
  const instance = await fleet.enter();
  try {
    const handler = await instance.exports;
    await send(await handler.handle(request(asked)), answer, left);
  } catch (error) {
    // A trap ends the instance, and whatever else it was doing.
    fleet.retire(instance);
    throw error;
  } finally {
    void fleet.leave(instance);
  }
}

function request(asked) {
  const { remoteAddress, remotePort } = asked.socket;
  const { body, trailers } = incoming(asked);
  // What Spin sets itself, a client cannot.
  const headers = fields(asked.rawHeaders, [["spin-client-addr", `${remoteAddress}:${remotePort}`]]);
  const [made] = Request.new(headers, body, trailers, undefined);
  made.setMethod(method(asked.method));
  made.setScheme({ tag: "HTTP" });
  made.setAuthority(asked.headers.host ?? "localhost");
  made.setPathWithQuery(asked.url);
  return made;
}

function method(name) {
  const known = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
  return known.includes(name) ? { tag: name.toLowerCase() } : { tag: "other", val: name };
}

async function send(response, answer, left) {
  const [body, trailers] = Response.consumeBody(response);
  answer.writeHead(response.getStatusCode(), raw(response.getHeaders()));
  answer.flushHeaders();
  const end = await outgoing(body, trailers, answer, left);
  if (end === "whole") await Promise.race([new Promise((sent) => answer.end(sent)), left]);
  if (end === "cut") answer.destroy();
  response.transmitted({ tag: "ok", val: undefined });
}
