//! `identity_token` of a rule: who acts, signed for an upstream that verifies it.

use crate::config::reader::{Node, Reader, quoted};
use crate::policy::{Allow, IdentityToken, Inject};

impl Reader<'_> {
    pub(super) fn identity_token(
        &self,
        node: &Node<'_>,
        allow: Option<&Allow>,
        inject: Option<Inject>,
    ) -> Option<IdentityToken> {
        if allow == Some(&Allow::Public) {
            self.wrong_at(node, "expected none where nobody is asked", "one");
        }
        if inject == Some(Inject::None) {
            let expected = "expected none where the service gets to know nothing";
            self.wrong_at(node, expected, "one");
        }
        let section = self.object(node, &["audience"])?;
        let audience = self.required(&section, "audience")?;
        let text = self.string(&audience)?;
        let valid = (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !valid {
            let expected = "expected 1 to 256 visible ASCII characters without a space";
            self.wrong_at(&audience, expected, &quoted(text));
        }
        valid.then(|| IdentityToken {
            audience: text.to_owned(),
        })
    }
}
