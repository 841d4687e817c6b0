//! The planter: makes torrents of files, plants them, asks the network about them.
//!
//! Downloaded when one of these is first wanted; no download needs it.

fn main() {
    anatomic_web::planter::run();
}
