//! The catalogue that is compiled in: one file per family of tools. Adding a file is one line here.

/// Name for messages, and content.
pub(super) const FILES: [(&str, &str); 7] = [
    ("builtin/banking_trojans.toml", include_str!("builtin/banking_trojans.toml")),
    ("builtin/benign_products.toml", include_str!("builtin/benign_products.toml")),
    ("builtin/cobalt_strike.toml", include_str!("builtin/cobalt_strike.toml")),
    ("builtin/dotnet_rats.toml", include_str!("builtin/dotnet_rats.toml")),
    ("builtin/frameworks.toml", include_str!("builtin/frameworks.toml")),
    ("builtin/interception.toml", include_str!("builtin/interception.toml")),
    ("builtin/metasploit.toml", include_str!("builtin/metasploit.toml")),
];
