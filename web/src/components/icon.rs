//! Small pictures, drawn as lines in the colour of the text.
//!
//! Never the only name of a control: a label stands beside each.

use yew::prelude::*;

/// Which picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Two bars.
    Pause,
    /// A triangle.
    Play,
    /// A bin.
    Remove,
    /// Two sheets.
    Copy,
    /// An arrow into a tray.
    Save,
    /// A cross.
    Close,
    /// Three sliders.
    Settings,
    /// A sheet of paper.
    File,
    /// A corner pointing down.
    Fold,
    /// An arrow that leaves a box.
    Open,
    /// Four squares, the last one broken up.
    Code,
}

impl Shape {
    const fn path(self) -> &'static str {
        match self {
            Self::Pause => "M8 5v14M16 5v14",
            Self::Play => "M7 4.5v15l12-7.5z",
            Self::Remove => "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
            Self::Copy => "M9 9h11v11H9zM5 15H4V4h11v1",
            Self::Save => "M12 4v11M7 11l5 5 5-5M4 20h16",
            Self::Close => "M6 6l12 12M18 6L6 18",
            Self::Settings => "M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4",
            Self::File => "M6 3h8l4 4v14H6zM14 3v4h4",
            Self::Fold => "M6 9l6 6 6-6",
            Self::Code => "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2v2M20 14v2M14 20h2M18 18h2v2",
            Self::Open => "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
        }
    }
}

/// Draws a picture of one em.
pub fn icon(shape: Shape) -> Html {
    html! {
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d={shape.path()} /></svg>
    }
}
