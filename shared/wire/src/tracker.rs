//! Messages between a peer and a tracker.
//!
//! Only formats: when to announce and where is the driver's and engine's business.
