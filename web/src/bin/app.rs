//! The page: what a person sees and the browser parts that only a page may own.
//!
//! No BitTorrent here: the engine lives in the other binary, `worker`.

fn main() {
    yew::Renderer::<anatomic_web::pages::Home>::new().render();
}
