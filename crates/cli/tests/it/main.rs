//! The binary as a person, a script and forty processes at once use it, against a server that counts.
//!
//! Run with the feature `faults`: it brings the fail points and a clock that tests can move.

#![allow(clippy::disallowed_methods, reason = "a test makes its own files and reads its own settings")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]
#![allow(missing_docs, reason = "tests")]

mod agents;
mod alerts;
mod audit;
mod bad_input;
mod book;
mod cache;
mod canaries;
mod channels;
mod chat;
mod chat_terminal;
mod commands;
mod complete;
mod config;
mod connect;
mod console;
mod console_guard;
mod console_login;
mod console_world;
mod demo;
mod doctor;
mod exec;
mod export;
mod files;
mod first_use;
mod gateway_guard;
mod gateway_install;
mod gateway_keys;
mod gateway_lend;
mod gateway_life;
mod gateway_tls;
mod gateway_within;
mod gateway_world;
mod id_token;
mod import;
mod import_database;
mod import_programs;
mod kill;
mod links;
mod login;
mod login_conformance;
mod login_copilot;
mod login_device;
mod login_edges;
mod login_key;
mod login_later;
mod login_refused;
mod login_terminal;
mod logout;
mod looks;
mod matrix;
mod models;
mod onboard;
mod onboard_terminal;
mod original;
mod paste;
mod places;
mod plugin_code;
mod plugin_install;
mod plugins;
mod points;
mod product_page;
mod profiles;
mod ran;
mod references;
mod secrets;
mod sessions;
mod setup_token;
mod shells;
mod siwc;
mod status;
mod status_screen;
mod status_watch;
mod storm;
mod terminal;
mod token_socket;
mod trail;
mod usage;
mod world;
