// Serves /files/INFOHASH/INDEX/NAME from the engine's worker, with byte ranges and back-pressure, so that <video>,
// <audio>, <img> and downloads work while pieces are still coming. It caches nothing and touches no other address.
//
// On the port: the worker says the file's length (a number; a string is a failure); we say [start, end); then for each
// `true` it sends a Uint8Array, `null` at the end, a string on failure. `false` cancels.
"use strict";

const TYPES = {
  mp4: "video/mp4", m4v: "video/mp4", mov: "video/quicktime", mkv: "video/x-matroska", webm: "video/webm", ogv: "video/ogg",
  mp3: "audio/mpeg", m4a: "audio/mp4", aac: "audio/aac", ogg: "audio/ogg", oga: "audio/ogg", opus: "audio/ogg",
  flac: "audio/flac", wav: "audio/wav",
  jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", gif: "image/gif", webp: "image/webp", avif: "image/avif",
  svg: "image/svg+xml", pdf: "application/pdf", vtt: "text/vtt; charset=utf-8",
  // Shown, never run: these bytes come from strangers, and this origin is ours.
  txt: "text/plain; charset=utf-8", md: "text/plain; charset=utf-8", nfo: "text/plain; charset=utf-8",
  html: "text/plain; charset=utf-8", htm: "text/plain; charset=utf-8", xml: "text/plain; charset=utf-8",
  json: "text/plain; charset=utf-8", csv: "text/plain; charset=utf-8", log: "text/plain; charset=utf-8",
  srt: "text/plain; charset=utf-8",
};
const REPLY_WITHIN = 10_000;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (url.origin !== self.location.origin || !url.pathname.startsWith("/files/")) return;
  if (url.pathname === "/files/keepalive") return event.respondWith(new Response(null, { status: 204 }));
  let ended;
  event.waitUntil(new Promise((resolve) => (ended = resolve)));
  event.respondWith(
    serve(event.request, url, ended).catch((error) => {
      ended();
      return new Response(String(error.message || error), { status: 503, headers: { "content-type": "text/plain" } });
    }),
  );
});

async function serve(request, url, ended) {
  const [, , id, index, name = ""] = url.pathname.split("/");
  const { port, length } = await ask(id, Number(index));
  const headers = new Headers({
    "accept-ranges": "bytes",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
  });
  const type = TYPES[name.split(".").pop().toLowerCase()];
  headers.set("content-type", type || "application/octet-stream");
  if (!type || url.searchParams.has("save")) {
    headers.set("content-disposition", `attachment; filename*=UTF-8''${name}`);
  }
  if (type !== TYPES.pdf) {
    headers.set(
      "content-security-policy",
      "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'",
    );
  }
  const range = parseRange(request.headers.get("range"), length);
  if (range === "unsatisfiable") {
    port.postMessage(false);
    ended();
    headers.set("content-range", `bytes */${length}`);
    return new Response(null, { status: 416, headers });
  }
  const [start, end] = range || [0, length];
  headers.set("content-length", end - start);
  if (range) headers.set("content-range", `bytes ${start}-${end - 1}/${length}`);
  if (request.method === "HEAD") {
    port.postMessage(false);
    ended();
    return new Response(null, { status: range ? 206 : 200, headers });
  }
  port.postMessage([start, end]);
  return new Response(stream(port, ended), { status: range ? 206 : 200, headers });
}

// Every tab is asked; the one that owns the engine answers.
async function ask(id, index) {
  const tabs = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("No open tab has this file. Open the page first.")), REPLY_WITHIN);
    for (const tab of tabs) {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = ({ data }) => {
        clearTimeout(late);
        if (typeof data === "number") resolve({ port: port1, length: data });
        else reject(new Error(String(data)));
      };
      tab.postMessage({ serve: [id, index] }, [port2]);
    }
  });
}

function stream(port, ended) {
  return new ReadableStream(
    {
      pull(controller) {
        return new Promise((resolve) => {
          port.onmessage = ({ data }) => {
            if (data instanceof Uint8Array) {
              controller.enqueue(data);
            } else {
              if (data === null) controller.close();
              else controller.error(new Error(String(data)));
              ended();
            }
            resolve();
          };
          port.postMessage(true);
        });
      },
      cancel() {
        port.postMessage(false);
        ended();
      },
    },
    { highWaterMark: 0 },
  );
}

// One range, as media elements ask; several are answered as a whole file, which HTTP allows.
function parseRange(header, length) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header || "");
  if (!match || (match[1] === "" && match[2] === "")) return null;
  const [first, last] = [match[1], match[2]];
  const start = first === "" ? Math.max(0, length - Number(last)) : Number(first);
  const end = first === "" || last === "" ? length : Math.min(length, Number(last) + 1);
  return start >= end ? "unsatisfiable" : [start, end];
}
