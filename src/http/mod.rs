//! The words of RFC 9110, as far as a filter needs them. Nothing here knows what OAuth is.

mod bytes;
mod call;
mod cookie;
mod headers;
mod request;
mod response;
mod set_fields;
mod shape;
mod target;
mod value;

pub use call::{Call, Reply};
pub use cookie::{Cookies, MAX_COOKIE_BYTES, SetCookie};
pub use headers::Headers;
pub use request::{Malformed, NEVER, Request, Unreadable};
pub use response::{GrpcWeb, Response};
pub use set_fields::SetFields;
pub use target::{RequestTarget, TargetError};
pub use value::{HeaderValue, NotAHeaderValue};
