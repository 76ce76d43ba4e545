//! Values that must never show: no `Display`, a redacted `Debug`, wiped when dropped.

/// Declares newtypes over `String` for values that must never be logged or compared in variable
/// time. The value is reached through `expose` alone, so that every use can be found.
macro_rules! secret_type {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(zeroize::Zeroizing<String>);

        impl $name {
            /// Takes hold of the value.
            #[must_use]
            pub fn new(value: impl Into<String>) -> Self {
                Self(zeroize::Zeroizing::new(value.into()))
            }

            /// The value itself. It belongs into a sealed cookie or into a request to Bitbucket
            /// or the upstream; never into a log line, a page or an error.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), other.0.as_bytes()).into()
            }
        }

        impl Eq for $name {}
    )+};
}

pub(crate) use secret_type;

#[cfg(test)]
#[expect(
    unreachable_pub,
    reason = "the macro makes public types for public modules"
)]
mod tests {
    secret_type! {
        /// A value for the test.
        Canary
    }

    #[test]
    fn debug_shows_the_name_and_never_the_value() {
        let canary = Canary::new("s3cr3t");
        assert_eq!(format!("{canary:?}"), "Canary([redacted])");
        assert_eq!(canary.expose(), "s3cr3t");
        assert_eq!(canary, Canary::new("s3cr3t"));
        assert_ne!(canary, Canary::new("s3cr3T"));
    }
}
