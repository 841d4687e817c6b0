// Starts the engine's worker with the code that the page compiled meanwhile; without it, the worker fetches its own.
import init from "./worker.js";

self.onmessage = (event) => init(event.data ? { module_or_path: event.data } : undefined);
