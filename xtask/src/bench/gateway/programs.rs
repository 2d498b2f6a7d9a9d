//! nginx, wrk and the gateway, each started for one measurement.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::Program;

/// Debian's names.
const PACKAGES: [(&str, &str); 2] = [("/usr/sbin/nginx", "nginx-light"), ("/usr/bin/wrk", "wrk")];
const PATIENCE: Duration = Duration::from_secs(20);

/// Installs what is missing where that is possible, and says what to type where it is not.
pub(super) fn installed() -> Result<(), String> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let is_root = Program::new("id", &["-u"]).text()?.trim() == "0";
    if !is_root || !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!("this measures beside {names}: apt-get install --no-install-recommends {names}"));
    }
    let apt = |args: &[&str]| Program::new("apt-get", args).env("DEBIAN_FRONTEND", "noninteractive").run();
    apt(&["update", "--quiet"])?;
    apt(&[&["install", "--yes", "--quiet", "--no-install-recommends"], missing.as_slice()].concat())
}

/// A folder that goes with what uses it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("coderclaw-bench-{name}-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }

    fn file(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.0.join(name);
        let failed = |e: std::io::Error| format!("{}: {e}", path.display());
        let folder = path.parent().unwrap_or(&self.0);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(super) struct Nginx {
    address: SocketAddr,
    _running: Running,
    _folder: Folder,
}

impl Nginx {
    pub(super) fn start(upstream: SocketAddr) -> Result<Self, String> {
        let folder = Folder::new("nginx")?;
        // Free a moment ago; who takes it meanwhile makes nginx say so.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = address.map_err(|e| e.to_string())?;
        let here = folder.0.display();
        let config = format!(
            "daemon off;\nmaster_process off;\nworker_processes 1;\npid {here}/pid;\nerror_log {here}/error.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n  access_log off;\n  keepalive_requests 1000000000;\n\
             \x20 client_body_temp_path {here}/body;\n  proxy_temp_path {here}/proxy;\n  fastcgi_temp_path {here}/f;\n\
             \x20 uwsgi_temp_path {here}/u;\n  scgi_temp_path {here}/s;\n\
             \x20 upstream api {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}\n\
             \x20 server {{ listen {address}; location / {{\n    proxy_pass http://api; proxy_http_version 1.1;\n\
             \x20   proxy_set_header Connection \"\"; proxy_buffering off; proxy_request_buffering off;\n  }} }}\n}}\n"
        );
        let config = folder.file("nginx.conf", &config)?;
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-c").arg(config).arg("-p").arg(&folder.0).stderr(Stdio::null());
        let running = Running(command.spawn().map_err(|e| format!("nginx: {e}"))?);
        wait_for(address, "nginx")?;
        Ok(Self { address, _running: running, _folder: folder })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

pub(super) struct OurGateway {
    address: SocketAddr,
    key: String,
    running: Running,
    _folder: Folder,
}

impl OurGateway {
    /// With a key of `acme`, whose API is the upstream.
    pub(super) fn start(binary: &Path, upstream: SocketAddr) -> Result<Self, String> {
        let folder = Folder::new("gateway")?;
        let manifest = format!(
            "id = 'acme'\nname = 'Acme'\n[api]\nkind = 'openai-chat'\nbase_url = 'http://{upstream}/v1'\n[[auth]]\nmethod = 'api-key'\n"
        );
        folder.file("state/providers/acme.toml", &manifest)?;
        folder.file(
            "state/agents/main/agent/auth-profiles.json",
            r#"{"version":1,"profiles":{"acme:x":{"type":"api_key","provider":"acme","key":"acme-bench"}}}"#,
        )?;
        let command = |arguments: &[&str]| {
            let mut command = Command::new(binary);
            command
                .args(arguments)
                .env_clear()
                .env("HOME", &folder.0)
                .env("CODERCLAW_STATE_DIR", folder.0.join("state"));
            command
        };
        let made =
            command(&["gateway", "keys", "add", "bench", "--quiet"]).output().map_err(|e| e.to_string())?;
        let key = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        if !made.status.success() || !key.starts_with("ccg_") {
            return Err(format!("no key was made: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let mut run = command(&["gateway", "run", "--port", "0", "--json", "--quiet"]);
        let mut child = run.stdout(Stdio::piped()).spawn().map_err(|e| format!("gateway: {e}"))?;
        let stdout = child.stdout.take().ok_or("the gateway has no standard output")?;
        let running = Running(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(|e| e.to_string())?;
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('"').next()?.parse().ok());
        let address = address.ok_or_else(|| format!("the gateway did not start: {line}"))?;
        Ok(Self { address, key, running, _folder: folder })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.0.id()
    }
}

fn wait_for(address: SocketAddr, name: &str) -> Result<(), String> {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if began.elapsed() > PATIENCE {
            return Err(format!("{name} does not listen on {address}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Requests a second, of so many clients that keep their connections. Any answer that is no success is an error.
pub(super) fn wrk(address: SocketAddr, key: &str, clients: usize, span: Duration) -> Result<f64, String> {
    let folder = Folder::new("wrk")?;
    let script = format!(
        "wrk.method = \"POST\"\nwrk.body = \"{{}}\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\nwrk.headers[\"Authorization\"] = \"Bearer {key}\"\n"
    );
    let script = folder.file("post.lua", &script)?;
    let (clients, span) = (clients.to_string(), span.as_secs().to_string());
    let url = format!("http://{address}/acme/x");
    let script = script.display().to_string();
    let said = Program::new("wrk", &["-t", "1", "-c", &clients, "-d", &span, "-s", &script, &url]).text()?;
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return Err(format!("{url}: not every request was answered:\n{said}"));
    }
    let rate = said.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    rate.and_then(|rate| rate.trim().parse().ok())
        .ok_or_else(|| format!("wrk said nothing of a rate:\n{said}"))
}

pub(super) fn resident_mb(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kb.map(|kb| kb / 1024.0).ok_or_else(|| format!("{path} says nothing of memory"))
}
