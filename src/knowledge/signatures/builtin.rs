//! The catalogue that is compiled in: one file per family of tools or kind of product. Adding a file is one line here.

/// Name for messages, and content.
pub(super) const FILES: [(&str, &str); 28] = [
    ("builtin/banking_trojans.toml", include_str!("builtin/banking_trojans.toml")),
    ("builtin/botnets.toml", include_str!("builtin/botnets.toml")),
    ("builtin/building_control.toml", include_str!("builtin/building_control.toml")),
    ("builtin/cameras.toml", include_str!("builtin/cameras.toml")),
    ("builtin/cobalt_strike.toml", include_str!("builtin/cobalt_strike.toml")),
    ("builtin/developer_defaults.toml", include_str!("builtin/developer_defaults.toml")),
    ("builtin/dotnet_rats.toml", include_str!("builtin/dotnet_rats.toml")),
    ("builtin/espionage.toml", include_str!("builtin/espionage.toml")),
    ("builtin/firewalls.toml", include_str!("builtin/firewalls.toml")),
    ("builtin/forged.toml", include_str!("builtin/forged.toml")),
    ("builtin/frameworks.toml", include_str!("builtin/frameworks.toml")),
    ("builtin/home_automation.toml", include_str!("builtin/home_automation.toml")),
    ("builtin/interception.toml", include_str!("builtin/interception.toml")),
    ("builtin/mail_servers.toml", include_str!("builtin/mail_servers.toml")),
    ("builtin/media_players.toml", include_str!("builtin/media_players.toml")),
    ("builtin/metasploit.toml", include_str!("builtin/metasploit.toml")),
    ("builtin/other_rats.toml", include_str!("builtin/other_rats.toml")),
    ("builtin/phones_and_conferencing.toml", include_str!("builtin/phones_and_conferencing.toml")),
    ("builtin/printers.toml", include_str!("builtin/printers.toml")),
    ("builtin/remote_access.toml", include_str!("builtin/remote_access.toml")),
    ("builtin/routers.toml", include_str!("builtin/routers.toml")),
    ("builtin/security_appliances.toml", include_str!("builtin/security_appliances.toml")),
    ("builtin/server_management.toml", include_str!("builtin/server_management.toml")),
    ("builtin/storage.toml", include_str!("builtin/storage.toml")),
    ("builtin/testing_tools.toml", include_str!("builtin/testing_tools.toml")),
    ("builtin/virtualisation.toml", include_str!("builtin/virtualisation.toml")),
    ("builtin/web_hosting.toml", include_str!("builtin/web_hosting.toml")),
    ("builtin/wireless.toml", include_str!("builtin/wireless.toml")),
];

/// Tools without a certificate of their own; not signatures.
pub(super) const WITHOUT_DEFAULT: (&str, &str) = ("builtin/no_default.toml", include_str!("builtin/no_default.toml"));
