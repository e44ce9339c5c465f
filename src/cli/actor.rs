//! Who works at this command line, as the audit trail is to name them.

use rustix::process::getuid;

/// Where a system's own users stand.
const USERS: &str = "/etc/passwd";

/// `user:NAME`: whoever called `sudo`, or the user that the process belongs to.
///
/// Whoever may write to the vault could write another name into it as well: this tells honest people apart.
pub fn actor() -> String {
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| is_name(name));
    let id = getuid().as_raw();
    let name = sudo.or_else(|| name_of(&std::fs::read_to_string(USERS).ok()?, id));
    // A directory service's user has no line in the file, and needs none to be told apart.
    name.map_or_else(|| format!("user:{id}"), |name| format!("user:{name}"))
}

fn is_name(name: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(visible)
}

/// The name of user `id` in a file of the form of passwd(5).
fn name_of(users: &str, id: u32) -> Option<String> {
    let id = id.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number == id && is_name(name)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_as_the_system_names_them() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000:Anna,,,:/home/anna:/bin/sh\n";
        assert_eq!(name_of(users, 1000).as_deref(), Some("anna"));
        assert_eq!(name_of(users, 100), None);
        assert!(!is_name("a b") && !is_name("a:b") && !is_name("") && is_name("anna@example.org"));
    }
}
