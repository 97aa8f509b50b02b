//! Which user of the operating system gives a command: for the record of what operators did, and no proof.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::model::actor::Actor;

/// The user of this process by the system's list of users, or else as the environment says.
pub(super) fn actor() -> Actor {
    let listed = || {
        let user = fs::metadata("/proc/self").ok()?.uid().to_string();
        named(&fs::read_to_string("/etc/passwd").ok()?, &user).map(str::to_owned)
    };
    let said = || ["LOGNAME", "USER"].into_iter().find_map(|name| std::env::var(name).ok());
    Actor::cli(&listed().or_else(said).unwrap_or_default())
}

/// The name of the user with this number.
fn named<'a>(users: &'a str, number: &str) -> Option<&'a str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnonsense\n\njan:x:1000:100::/home/jan:/bin/sh\n";
        assert_eq!(named(users, "0"), Some("root"));
        assert_eq!(named(users, "1000"), Some("jan"));
        assert_eq!(named(users, "100"), None);
    }
}
