//! `bitgate keygen`.

use std::io::{self, Write};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bitgate::session::SessionKey;
use zeroize::Zeroizing;

use crate::arguments::{KeyForm, KeygenOptions};
use crate::{Outcome, complain};

/// Prints a new key.
pub(crate) fn run(options: &KeygenOptions, out: &mut impl Write) -> io::Result<Outcome> {
    let kid = options.kid.clone().unwrap_or_else(today);
    // The reader of configurations decides what a name is, whatever the bytes are.
    if SessionKey::new(&kid, Zeroizing::new([0; 32])).is_none() {
        complain("expected a kid of 1 to 32 letters, digits, \"-\" or \"_\"");
        return Ok(Outcome::Usage);
    }
    let mut bytes = Zeroizing::new([0_u8; 32]);
    if let Err(error) = getrandom::fill(bytes.as_mut_slice()) {
        complain(&format!(
            "expected random bytes from the system, but got none: {error}"
        ));
        return Ok(Outcome::Problems);
    }
    let key = Zeroizing::new(STANDARD.encode(bytes.as_slice()));
    match options.form {
        KeyForm::Raw => writeln!(out, "{}", key.as_str())?,
        KeyForm::Entry => {
            let variable = variable(&kid);
            writeln!(
                out,
                "# The environment of every instance of the site. It is a secret.\n\
                 {variable}={}\n\
                 # The first of session.keys, with the older ones behind it. Envoy passes the\n\
                 # variable on if vm_config.environment_variables.host_env_keys names it.\n\
                 {{\"kid\": \"{kid}\", \"key\": {{\"env\": \"{variable}\"}}}}",
                key.as_str()
            )?;
        }
    }
    Ok(Outcome::Fine)
}

/// A variable for each key: while keys change there are two of them.
fn variable(kid: &str) -> String {
    let name = kid.chars().map(|c| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    });
    format!("BITGATE_SESSION_KEY_{}", name.collect::<String>())
}

/// Today in UTC, as `2026-11-24`.
#[expect(
    clippy::disallowed_methods,
    reason = "the command is no part of the gate, and the date is a name and nothing else"
)]
fn today() -> String {
    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    now.chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_named_as_a_configuration_may_name_it() {
        assert_eq!(variable("2026-11-24"), "BITGATE_SESSION_KEY_2026_11_24");
        assert_eq!(variable("a_b"), "BITGATE_SESSION_KEY_A_B");
    }
}
