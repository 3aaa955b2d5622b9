// HTTP out: on this thread, and only to hosts that the manifest allows.
import http from "node:http";
import https from "node:https";
import { HttpError } from "@bytecodealliance/preview3-shim/http";
import { onCancel } from "./cancel.mjs";
import { Request, Response, fields, incoming, outgoing, raw } from "./messages.mjs";

const agents = { "http:": new http.Agent({ keepAlive: true }), "https:": new https.Agent({ keepAlive: true }) };

export function client(grants) {
  return {
    async send(request) {
      const scheme = request.getScheme()?.tag === "HTTP" ? "http" : "https";
      const url = new URL(`${scheme}://${request.getAuthority()}${request.getPathWithQuery() ?? "/"}`);
      if (!grants.allows(url.href)) throw new HttpError("HTTP-request-denied");
      return await call(scheme === "http" ? http : https, url, request);
    },
  };
}

function call(transport, url, request) {
  return new Promise((head, failed) => {
    const asked = transport.request(url, {
      agent: agents[url.protocol],
      method: verb(request.getMethod()),
      headers: ["host", url.host, ...raw(request.getHeaders())],
    });
    let wanted = true;
    onCancel(() => {
      wanted = false;
      asked.destroy();
    });
    const left = new Promise((gone) => asked.on("close", gone));
    asked.on("response", (answer) => (wanted ? head(response(answer)) : answer.destroy()));
    asked.on("error", (error) => wanted && failed(HttpError.from(error)));
    const [body, trailers] = Request.consumeBody(request);
    outgoing(body, trailers, asked, left).then(
      (end) => (end === "whole" ? asked.end() : asked.destroy()),
      (error) => asked.destroy(error),
    );
  });
}

function verb(method) {
  return method.tag === "other" ? method.val : method.tag.toUpperCase();
}

function response(answer) {
  const { body, trailers } = incoming(answer);
  const [made] = Response.new(fields(answer.rawHeaders), body, trailers);
  made.setStatusCode(answer.statusCode);
  return made;
}
