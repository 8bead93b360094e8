//! Three nodes as processes, each with its own directory, set up with the operator's own commands.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use charter::{Approval, Document};
use tempfile::TempDir;
use types::NodeId;
use types::consent::SignedCharter;
use types::roster::Roster;

/// The modality that the simulated people are matched by.
pub const PROFILE: &str = "id = 'vector-64'\nversion = 1\nmodality = 'simulated'\ndescription = 'random unit vectors'\n\
    [matching]\nkind = 'embedding'\ndimensions = 64\nscale = 140\nclamp = 64\ncosine_threshold = 0.6\nnorm_min = 0.8\n\
    norm_max = 1.05\n";

/// The `commons-node` that `COMMONS_NODE` names, or that of the same build as the running test, built now if need be.
///
/// # Errors
/// When it cannot be built.
pub fn program(cargo: &str) -> io::Result<PathBuf> {
    if let Some(program) = std::env::var_os("COMMONS_NODE") {
        return Ok(program.into());
    }
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "node", "--bin", "commons-node"]);
    let mut directory = std::env::current_exe()?;
    // target/PROFILE/deps/TEST
    directory.pop();
    directory.pop();
    if directory.ends_with("release") {
        build.arg("--release");
    }
    match build.status()?.success() {
        true => Ok(directory.join("commons-node")),
        false => Err(io::Error::other("commons-node does not build")),
    }
}

/// A commons on loopback. Its processes are killed and its directories removed when it is dropped.
pub struct Commons {
    program: PathBuf,
    directory: TempDir,
    roster: Roster,
    processes: [Option<Child>; 3],
}

impl Commons {
    /// Creates keys, cards, roster and configuration with `program` (a `commons-node`) for the modality profile in the text
    /// `profile`; starts nothing.
    ///
    /// # Errors
    /// When a command fails or a file cannot be written.
    pub fn create(program: &Path, profile: &str) -> io::Result<Self> {
        Self::create_on(program, profile, |_, _| Ok(()))
    }

    /// As [`Self::create`]; `disk` may put something under the folder of each node's data before it is there.
    ///
    /// # Errors
    /// As [`Self::create`], and what `disk` says.
    pub fn create_on(program: &Path, profile: &str, disk: impl Fn(NodeId, &Path) -> io::Result<()>) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = |name: &str| directory.path().join(name);
        let ports = free_ports()?;
        std::fs::write(path("profile.toml"), profile)?;
        for node in NodeId::ALL {
            let (http, peer) = port_pair(&ports, node);
            let (url, peer) = (format!("https://127.0.0.1:{http}"), format!("127.0.0.1:{peer}"));
            let data = path(&format!("node-{node}"));
            disk(node, &data)?;
            let id = node.to_string();
            run(Command::new(program)
                .args(["init", "--id", &id, "--operator", "Simulation", "--url", &url, "--peer-address", &peer])
                .arg("--data-dir")
                .arg(data))?;
        }
        let cards = NodeId::ALL.map(|node| path(&format!("node-{node}")).join("card.toml"));
        let roster = run(Command::new(program)
            .args(["roster", "--commons", "Simulation", "--profile"])
            .arg(path("profile.toml"))
            .args(cards))?;
        std::fs::write(path("roster.toml"), &roster)?;
        for node in NodeId::ALL {
            let (http, peer) = port_pair(&ports, node);
            // All people of a simulation share one address.
            let text = format!(
                "data_dir = \"node-{node}\"\nroster = \"roster.toml\"\n[http]\nbind = \"127.0.0.1:{http}\"\n\
                 address_per_minute = 1000000\naddress_burst = 100000\n[peer]\nbind = \"127.0.0.1:{peer}\"\n\
                 [patience]\nanswer_ms = 10000\nshare_ms = 2000\n[log]\nlevel = \"warn\"\n"
            );
            std::fs::write(path(&format!("node-{node}.toml")), text)?;
        }
        let roster = Roster::from_toml(&roster).map_err(io::Error::other)?;
        Ok(Self { program: program.to_owned(), directory, roster, processes: [None, None, None] })
    }

    /// The roster.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The data directory of a node.
    pub fn data(&self, node: NodeId) -> PathBuf {
        self.directory.path().join(format!("node-{node}"))
    }

    /// What a node wrote to its log.
    pub fn log(&self, node: NodeId) -> String {
        std::fs::read_to_string(self.log_file(node)).unwrap_or_default()
    }

    fn log_file(&self, node: NodeId) -> PathBuf {
        self.directory.path().join(format!("node-{node}.log"))
    }

    /// Starts a node's process.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, node: NodeId) -> io::Result<()> {
        let config = self.directory.path().join(format!("node-{node}.toml"));
        let log = std::fs::File::options().create(true).append(true).open(self.log_file(node))?;
        let child = Command::new(&self.program)
            .arg("run")
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        if let Some(process) = self.processes.get_mut(node.index()) {
            *process = Some(child);
        }
        Ok(())
    }

    /// An operator's command on a node, such as `refresh`, ready to be run.
    pub fn command(&self, node: NodeId, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(name).arg("--config").arg(self.directory.path().join(format!("node-{node}.toml"))).stdin(Stdio::null());
        command
    }

    /// Loses a node with its keys and data, and lets another operator have its number: with the commands of the operators' guide a
    /// new node gets keys, and the two that remain sign the roster that everybody has from now on. All nodes must be stopped.
    ///
    /// # Errors
    /// When a command fails or a file cannot be written.
    pub fn replace(&mut self, lost: NodeId) -> io::Result<()> {
        let entry = self.roster.node(lost).ok_or_else(|| io::Error::other("the roster lists three nodes"))?.clone();
        std::fs::remove_dir_all(self.data(lost))?;
        run(Command::new(&self.program)
            .args(["init", "--id", &lost.to_string(), "--operator", "Successor", "--url", &entry.url])
            .args(["--peer-address", &entry.peer_address, "--data-dir"])
            .arg(self.data(lost)))?;
        let card = self.data(lost).join("card.toml");
        let half = run(self.command(lost.next(), "succeed").arg("--card").arg(card))?;
        let path = self.directory.path().join("half.toml");
        std::fs::write(&path, half)?;
        let whole = run(self.command(lost.prev(), "succeed").arg("--sign").arg(path))?;
        std::fs::write(self.directory.path().join("roster.toml"), &whole)?;
        self.roster = Roster::from_toml(&whole).map_err(io::Error::other)?;
        Ok(())
    }

    /// Takes the modality profile in the text `profile` into the roster that everybody has from now on, with the commands of the operators'
    /// guide. Nodes that run go on with the one before until they are started again.
    ///
    /// # Errors
    /// When a command fails or a file cannot be written.
    pub fn add_profile(&mut self, profile: &str) -> io::Result<()> {
        let path = |name: &str| self.directory.path().join(name);
        std::fs::write(path("newer.toml"), profile)?;
        let [one, two, three] = NodeId::ALL;
        let mut text = run(self.command(one, "add-profile").arg("--profile").arg(path("newer.toml")))?;
        for node in [two, three] {
            std::fs::write(path("signed.toml"), &text)?;
            text = run(self.command(node, "add-profile").arg("--sign").arg(path("signed.toml")))?;
        }
        std::fs::write(path("roster.toml"), &text)?;
        self.roster = Roster::from_toml(&text).map_err(io::Error::other)?;
        Ok(())
    }

    /// Kills a node's process (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// When it had ended by itself: that is a fault of the node.
    pub fn kill(&mut self, node: NodeId) -> io::Result<()> {
        let Some(mut child) = self.processes.get_mut(node.index()).and_then(Option::take) else { return Ok(()) };
        if let Some(status) = child.try_wait()? {
            let log = self.log(node);
            return Err(io::Error::other(format!("node {node} had ended by itself ({status}):\n{log}")));
        }
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Whether a node's process runs.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn runs(&mut self, node: NodeId) -> io::Result<bool> {
        match self.processes.get_mut(node.index()).and_then(Option::as_mut) {
            Some(child) => Ok(child.try_wait()?.is_none()),
            None => Ok(false),
        }
    }

    /// The document under the signatures of all three operators, each made with the operator's own program and key.
    ///
    /// # Errors
    /// When a command fails or a file cannot be read.
    pub fn sign_charter(&self, document: &Document) -> io::Result<SignedCharter> {
        let file = self.directory.path().join(format!("charter-{}.toml", document.version));
        std::fs::write(&file, document.canonical())?;
        let sign = |node: NodeId| {
            let config = self.directory.path().join(format!("node-{node}.toml"));
            run(Command::new(&self.program).args(["charter", "sign"]).arg(&file).arg("--config").arg(config))?;
            let text = std::fs::read_to_string(format!("{}.signature-{node}", file.display()))?;
            Approval::from_text(&text).map(|approval| approval.signature).map_err(io::Error::other)
        };
        let [one, two, three] = NodeId::ALL;
        Ok(SignedCharter { document: document.canonical(), signatures: [sign(one)?, sign(two)?, sign(three)?] })
    }

    /// Asks a node's process to end (SIGTERM) and waits for it.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn stop(&mut self, node: NodeId) -> io::Result<()> {
        let Some(mut child) = self.processes.get_mut(node.index()).and_then(Option::take) else { return Ok(()) };
        run(Command::new("kill").arg(child.id().to_string()))?;
        match child.wait()?.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!("node {node} did not stop well:\n{}", self.log(node)))),
        }
    }
}

impl Drop for Commons {
    fn drop(&mut self) {
        for mut child in self.processes.iter_mut().filter_map(Option::take) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Six different free ports.
fn free_ports() -> io::Result<Vec<u16>> {
    let held = (0..6).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// For clients, for peers.
fn port_pair(ports: &[u16], node: NodeId) -> (u16, u16) {
    let port = |index: usize| ports.get(index).copied().unwrap_or_default();
    (port(node.index()), port(node.index() + 3))
}

fn run(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
