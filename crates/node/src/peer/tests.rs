//! Links over real sockets on loopback.

use std::net::SocketAddr;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, copy_bidirectional};
use types::profile::Profile;

use super::*;
use crate::config::NodeConfig;
use crate::identity::{Facts, Identity};

const PATIENCE: Duration = Duration::from_secs(20);

struct Site {
    _dir: TempDir,
    identity: Identity,
    listener: Option<TcpListener>,
    address: SocketAddr,
}

struct Node {
    peers: Peers,
    events: mpsc::Receiver<PeerEvent>,
}

fn profile() -> Profile {
    Profile::from_toml(
        "id = 'test-4'\nversion = 1\nmodality = 'test'\ndescription = 'test'\n[matching]\nkind = 'embedding'\ndimensions = 4\n\
         scale = 100\nclamp = 100\ncosine_threshold = 0.5\nnorm_min = 0.9\nnorm_max = 1.1\n",
    )
    .unwrap()
}

async fn site(node: NodeId) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (url, peer_address) = ("https://127.0.0.1:1".to_owned(), address.to_string());
    let facts = Facts { node, operator: format!("operator {node}"), url, peer_address };
    let (identity, _) = Identity::create(dir.path(), &facts).unwrap();
    Site { _dir: dir, identity, listener: Some(listener), address }
}

async fn sites() -> ([Site; 3], Roster) {
    let [one, two, three] = NodeId::ALL;
    let sites = [site(one).await, site(two).await, site(three).await];
    let roster = roster_of([&sites[0], &sites[1], &sites[2]]);
    (sites, roster)
}

fn roster_of(sites: [&Site; 3]) -> Roster {
    let nodes = sites.map(|site| {
        let card = crate::identity::Card::read(&site._dir.path().join("card.toml")).unwrap();
        card.node
    });
    let profiles = vec![profile()];
    let roster = Roster {
        version: types::roster::VERSION,
        commons: "test".to_owned(),
        throw_away: true,
        epochs: types::Epochs::DAILY,
        successions: Vec::new(),
        additions: Vec::new(),
        nodes: nodes.to_vec(),
        profiles,
    };
    roster.check().unwrap();
    roster
}

fn config() -> PeerConfig {
    NodeConfig::loopback("d".into(), "r".into()).unwrap().peer
}

fn start(site: &mut Site, roster: &Roster) -> Node {
    let (sender, events) = mpsc::channel(crate::link::EVENT_QUEUE);
    let listener = site.listener.take().unwrap();
    let metrics = Metrics::new().unwrap();
    let roster = Arc::new(roster.clone());
    let peers = Peers::start(&config(), roster, &site.identity, listener, sender, metrics).unwrap();
    Node { peers, events }
}

async fn three() -> ([Node; 3], [Site; 3]) {
    let (mut sites, roster) = sites().await;
    let mut nodes = sites.each_mut().map(|site| start(site, &roster));
    for node in &mut nodes {
        all_up(node).await;
    }
    (nodes, sites)
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("in time")
}

async fn all_up(node: &mut Node) {
    within(async {
        while node.peers.available() != [true; 3] {
            node.events.recv().await.unwrap();
        }
    })
    .await;
}

async fn next_message(node: &mut Node) -> (NodeId, ControlMessage) {
    within(async {
        loop {
            if let PeerEvent::Message { from, message } = node.events.recv().await.unwrap() {
                return (from, message);
            }
        }
    })
    .await
}

/// Waits until the node says this of the peer. A refusal may first show as a broken connection, when the peer's reset overtakes
/// its reason; the next try tells.
async fn problem(node: &Node, peer: NodeId, words: &[&str]) {
    within(async {
        loop {
            if let Some(problem) = &node.peers.problems()[peer.index()]
                && words.iter().all(|words| problem.contains(words))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

fn state(committed: u64) -> ControlMessage {
    ControlMessage::State { committed, head: Digest([0; 32]), unreachable: vec![] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_meet_and_messages_keep_their_order() {
    let (mut nodes, _sites) = three().await;
    let [one, two, three] = NodeId::ALL;
    for number in 0..500 {
        nodes[2].peers.send(one, state(number)).unwrap();
        nodes[0].peers.send(two, state(number)).unwrap();
    }
    for number in 0..500 {
        assert_eq!(next_message(&mut nodes[0]).await, (three, state(number)));
        assert_eq!(next_message(&mut nodes[1]).await, (one, state(number)));
    }
    for node in &nodes {
        node.peers.stop().await;
    }
    assert_eq!(nodes[0].peers.send(two, state(0)), Err(Unavailable { node: two }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_carries_forty_megabytes_both_ways() {
    let (nodes, _sites) = three().await;
    let id = SessionId([9; 16]);
    let mut sessions: Vec<Session> = nodes.iter().map(|n| n.peers.open_session(id).unwrap()).collect();
    let keys: Vec<_> = sessions.iter().map(|s| (*s.keys().0, *s.keys().1)).collect();
    assert_eq!((keys[0].1, keys[1].1, keys[2].1), (keys[1].0, keys[2].0, keys[0].0), "neighbours share a key");
    assert_ne!(keys[0].0, keys[0].1);
    let message =
        |from: u8, round: u8| vec![from * 16 + round; if round == 1 { 40_000_000 } else { 7 * usize::from(round) }];
    let runs = sessions.drain(..).zip(1u8..).map(|(mut session, own)| {
        tokio::spawn(async move {
            for round in 0..4 {
                let (from_prev, from_next) = session.exchange(message(own, round), message(own, round)).await.unwrap();
                let node = NodeId::new(own).unwrap();
                assert!(from_prev == message(node.prev().number(), round), "round {round} from prev");
                assert!(from_next == message(node.next().number(), round), "round {round} from next");
            }
        })
    });
    for run in runs.collect::<Vec<_>>() {
        within(run).await.unwrap();
    }
    // All is given back: a second session works as well, with other keys.
    let other = nodes[0].peers.open_session(SessionId([8; 16])).unwrap();
    assert_ne!(*other.keys().0, keys[0].0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_messages_pass_a_session_that_nobody_reads() {
    let (mut nodes, _sites) = three().await;
    let [one, two, _] = NodeId::ALL;
    let id = SessionId([1; 16]);
    let mut busy = nodes[0].peers.open_session(id).unwrap();
    let _idle = [nodes[1].peers.open_session(id).unwrap(), nodes[2].peers.open_session(id).unwrap()];
    let exchange = tokio::spawn(async move { busy.exchange(vec![1; 100_000_000], vec![2; 100_000_000]).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    nodes[0].peers.send(two, state(5)).unwrap();
    assert_eq!(next_message(&mut nodes[1]).await, (one, state(5)));
    drop(_idle);
    let ended = within(exchange).await.unwrap();
    assert!(matches!(ended, Err(crate::link::SessionError::Ended { .. })), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_dropped_on_one_node_ends_on_the_others() {
    let (nodes, _sites) = three().await;
    let id = SessionId([2; 16]);
    let mut sessions: Vec<Session> = nodes.iter().map(|n| n.peers.open_session(id).unwrap()).collect();
    drop(sessions.remove(2));
    for mut session in sessions {
        let ended = within(session.exchange(vec![1], vec![2])).await;
        assert!(matches!(ended, Err(crate::link::SessionError::Ended { node }) if node == NodeId::ALL[2]), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_is_noticed_and_comes_back() {
    let (mut sites, roster) = sites().await;
    let mut nodes = sites.each_mut().map(|site| start(site, &roster));
    for node in &mut nodes {
        all_up(node).await;
    }
    let [mut one, two, mut three] = nodes;
    let mut session = one.peers.open_session(SessionId([3; 16])).unwrap();
    let waiting = tokio::spawn(async move { session.exchange(vec![1], vec![2]).await });
    let began = std::time::Instant::now();
    two.peers.stop().await;
    drop(two);
    for node in [&mut one, &mut three] {
        within(async {
            while !matches!(node.events.recv().await, Some(PeerEvent::Down { node }) if node == NodeId::ALL[1]) {}
        })
        .await;
        assert_eq!(node.peers.available(), [true, false, true]);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "a closed socket is noticed at once");
    assert!(within(waiting).await.unwrap().is_err(), "sessions die with their connection");
    problem(&three, NodeId::ALL[1], &["closed"]).await;
    // Nodes 1 and 3 still speak.
    one.peers.send(NodeId::ALL[2], state(7)).unwrap();
    assert_eq!(next_message(&mut three).await.1, state(7));
    sites[1].listener = Some(TcpListener::bind(sites[1].address).await.unwrap());
    let mut two = start(&mut sites[1], &roster);
    for node in [&mut one, &mut two, &mut three] {
        all_up(node).await;
    }
}

/// Node 2 reaches node 1 only through a line that the test can cut or freeze.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_line_is_dead_and_heals() {
    let (mut sites, roster) = sites().await;
    let line = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut detour = roster.clone();
    detour.nodes[0].peer_address = line.local_addr().unwrap().to_string();
    let target = sites[0].address;
    let frozen = CancellationToken::new();
    let freeze = frozen.clone();
    tokio::spawn(async move {
        let (mut first, _) = line.accept().await.unwrap();
        let mut to = TcpStream::connect(target).await.unwrap();
        freeze.run_until_cancelled(copy_bidirectional(&mut first, &mut to)).await;
        // From here on the first line is open and silent; the next ones work.
        loop {
            let (mut from, _) = line.accept().await.unwrap();
            let mut to = TcpStream::connect(target).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut from, &mut to).await });
        }
        #[expect(unreachable_code, reason = "keeps the silent line open")]
        drop((first, to));
    });
    let mut one = start(&mut sites[0], &roster);
    let mut two = start(&mut sites[1], &detour);
    let mut three = start(&mut sites[2], &roster);
    for node in [&mut one, &mut two, &mut three] {
        all_up(node).await;
    }
    while two.events.try_recv().is_ok() {}
    let began = std::time::Instant::now();
    frozen.cancel();
    within(async { while !matches!(two.events.recv().await, Some(PeerEvent::Down { node }) if node == NodeId::ALL[0]) {} })
        .await;
    assert!(began.elapsed() >= Duration::from_secs(2), "not before the silence is long enough");
    all_up(&mut two).await;
    all_up(&mut one).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_outside_the_roster_is_refused_on_both_sides() {
    let (mut sites, roster) = sites().await;
    // Node 2 of another commons, at the place of node 2.
    let mut stranger = site(NodeId::ALL[1]).await;
    let foreign = roster_of([&sites[0], &stranger, &sites[2]]);
    let one = start(&mut sites[0], &roster);
    let two = start(&mut stranger, &foreign);
    problem(&two, NodeId::ALL[0], &["refused this node's TLS key"]).await;
    assert_eq!(one.peers.available(), [true, false, false]);

    // The other way: node 3 dials an address where somebody else answers.
    let mut wrong = roster.clone();
    wrong.nodes[1].peer_address = stranger.address.to_string();
    let three = start(&mut sites[2], &wrong);
    problem(&three, NodeId::ALL[1], &["is not the key of node 2"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_roster_is_named_on_both_sides() {
    let (mut sites, roster) = sites().await;
    let mut renamed = roster.clone();
    renamed.commons = "another".to_owned();
    let one = start(&mut sites[0], &roster);
    let two = start(&mut sites[1], &renamed);
    for (node, peer) in [(&one, NodeId::ALL[1]), (&two, NodeId::ALL[0])] {
        problem(node, peer, &["another roster", &roster.digest().to_hex()]).await;
        assert!(!node.peers.available()[peer.index()]);
    }
}

/// Speaks TLS with node 3's key, but not the protocol.
async fn as_node_three(site: &Site, roster: &Roster) -> TlsStream<TcpStream> {
    let [one, _, _] = NodeId::ALL;
    let connector = TlsConnector::from(tls::client(site.identity.tls(), roster, one).unwrap());
    let stream = TcpStream::connect(&roster.node(one).unwrap().peer_address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("peer.invalid").unwrap();
    TlsStream::from(connector.connect(name, stream).await.unwrap())
}

fn hello(node: NodeId, roster: &Roster) -> Hello {
    let software = "0".to_owned();
    Hello { protocol: hello::PROTOCOL, node, roster: roster.digest(), software, clock: unix_now(), nonce: [1; 32] }
}

async fn is_cut(mut stream: TlsStream<TcpStream>) {
    let mut rest = Vec::new();
    let _ = within(stream.read_to_end(&mut rest)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_claims_another_number_is_refused() {
    let (mut sites, roster) = sites().await;
    let one = start(&mut sites[0], &roster);
    let mut stream = as_node_three(&sites[2], &roster).await;
    Frame::Hello(hello(NodeId::ALL[1], &roster).to_bytes()).write(&mut stream).await.unwrap();
    problem(&one, NodeId::ALL[2], &["says that it is node 2, and its key belongs to node 3"]).await;
    is_cut(stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_break_the_rules_end_the_link() {
    let (mut sites, roster) = sites().await;
    let mut one = start(&mut sites[0], &roster);
    let length = |n: u32| n.to_le_bytes();
    let oversized = [&length(u32::MAX)[..], &[2]].concat();
    let unknown = [&length(1)[..], &[77]].concat();
    let not_a_message = [&length(4)[..], &[2, 1, 0, 200]].concat();
    let second_hello = [&length(2)[..], &[0, 1]].concat();
    let cases =
        [(oversized, "frame of"), (unknown, "unknown kind 77"), (not_a_message, "malformed"), (second_hello, "malformed")];
    for (bytes, expected) in cases {
        let mut stream = as_node_three(&sites[2], &roster).await;
        Frame::Hello(hello(NodeId::ALL[2], &roster).to_bytes()).write(&mut stream).await.unwrap();
        within(async { while !matches!(one.events.recv().await, Some(PeerEvent::Up { .. })) {} }).await;
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        within(async { while !matches!(one.events.recv().await, Some(PeerEvent::Down { .. })) {} }).await;
        problem(&one, NodeId::ALL[2], &[expected]).await;
        is_cut(stream).await;
    }
}
