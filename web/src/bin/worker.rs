//! The worker: drives the engine, hashes, and keeps the files.
//!
//! No screen here: what a person sees is the other binary, `app`.

fn main() {
    anatomic_web::worker::run();
}
