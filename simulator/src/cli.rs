//! The command line of the simulator, for its own binary and for any other that wants to offer it.
//!
//! A preset chooses a server, single flags change it, and the world is seeded and served until the caller's future
//! ends. Where it listens and with which key goes to stderr, one line each; nothing goes to stdout.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::serving::{Total, Visibility};
use crate::simulator::{DepositShape, OverCap, Profile, Quirks, Simulator, SimulatorConfig};
use crate::world::{DEV_KEY, Order, World};

/// Where it listens unless another address is given.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8700);

/// What to simulate.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value_t = LISTEN, value_parser = address)]
    pub listen: SocketAddr,
    /// How many wallets there are at the start
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub wallets: usize,
    /// How many deposits there are at the start
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub deposits: usize,
    /// The same seed makes the same ids, addresses and amounts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The API key to accept
    #[arg(long, value_name = "KEY", default_value = DEV_KEY)]
    pub api_key: String,
    /// The key of a further company, with data of its own; may be given several times
    #[arg(long, value_name = "KEY")]
    pub other_key: Vec<String>,
    /// How long each answer takes, e.g. 20ms or 1.5s
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = duration)]
    pub latency: Duration,
    /// Make this many random changes per second
    #[arg(long, value_name = "PER_SECOND", default_value_t = 0.0)]
    pub life: f64,
    /// How the server behaves where the API reference is silent; `stringly` and `hostile` also leave out every `total`, so no
    /// list is ever proved to be complete, and the `externalId` of deposits
    #[arg(long, value_name = "NAME", default_value = "plain", value_parser = preset_names())]
    pub preset: String,
    /// The largest page
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Instead of the preset's")]
    pub page_cap: Option<u64>,
    /// What happens to a larger limit
    #[arg(long, value_enum, help_heading = "Instead of the preset's")]
    pub over_cap: Option<OverCap>,
    /// The page size of a request that names none
    #[arg(long, value_name = "N", value_parser = at_least_one, help_heading = "Instead of the preset's")]
    pub default_limit: Option<u64>,
    /// The order of all listings
    #[arg(long, value_enum, help_heading = "Instead of the preset's")]
    pub order: Option<Order>,
    /// Blocked wallets in the plain listing
    #[arg(long, value_enum, help_heading = "Instead of the preset's")]
    pub blocked: Option<Visibility>,
    /// Replaced wallets in the listings
    #[arg(long, value_enum, help_heading = "Instead of the preset's")]
    pub replaced: Option<Visibility>,
    /// The fields of a deposit
    #[arg(long, value_enum, help_heading = "Instead of the preset's")]
    pub shape: Option<DepositShape>,
    /// Whether objects have fields that the reference does not name
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Instead of the preset's")]
    pub extra_fields: Option<bool>,
    /// `present`, `missing`, `text`, or the largest number that a total may be
    #[arg(long, value_name = "TOTAL", value_parser = total, help_heading = "Instead of the preset's")]
    pub total: Option<Total>,
    /// Whether a company tells who it is
    #[arg(long, value_enum, help_heading = "Instead of the preset's")]
    pub profile: Option<Profile>,
}

/// Serves until `shutdown` is over. Fails if it cannot listen.
pub async fn run(args: Args, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let quirks = args.quirks();
    let world = World::live(args.seed).with_api_key(args.api_key);
    world.seed(args.wallets, args.deposits);
    let config = SimulatorConfig { listen: args.listen, world, quirks, latency: args.latency };
    let simulator = Simulator::start(config).await.map_err(|error| not_listening(args.listen, &error))?;
    for (seed, key) in (args.seed + 1..).zip(args.other_key) {
        let other = World::live(seed).with_api_key(key);
        other.seed(args.wallets, args.deposits);
        simulator.add_company(other);
    }
    simulator.life().start(args.life);
    announce(&simulator)?;
    shutdown.await;
    simulator.shutdown().await;
    Ok(())
}

fn not_listening(listen: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}; choose another address with `--listen`"))
}

fn announce(simulator: &Simulator) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "listening on {}", simulator.base_url())?;
    writeln!(stderr, "api key {}", simulator.world().api_key())
}

impl Args {
    /// The preset with the single changes made to it.
    pub fn quirks(&self) -> Quirks {
        let preset = Quirks::preset(&self.preset).unwrap_or_default();
        Quirks {
            page_cap: self.page_cap.unwrap_or(preset.page_cap),
            over_cap: self.over_cap.unwrap_or(preset.over_cap),
            default_limit: self.default_limit.unwrap_or(preset.default_limit),
            order: self.order.unwrap_or(preset.order),
            blocked: self.blocked.unwrap_or(preset.blocked),
            replaced: self.replaced.unwrap_or(preset.replaced),
            shape: self.shape.unwrap_or(preset.shape),
            extra_fields: self.extra_fields.unwrap_or(preset.extra_fields),
            total: self.total.unwrap_or(preset.total),
            profile: self.profile.unwrap_or(preset.profile),
        }
    }
}

fn preset_names() -> clap::builder::PossibleValuesParser {
    Quirks::presets().into_iter().map(|(name, _)| name).collect::<Vec<_>>().into()
}

fn at_least_one(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

fn total(text: &str) -> Result<Total, String> {
    match text {
        "present" => Ok(Total::Present),
        "missing" => Ok(Total::Missing),
        "text" => Ok(Total::Text),
        cap => cap.parse().map(Total::CappedAt).map_err(|_| "expected present, missing, text or a number".to_owned()),
    }
}

/// An address with its port. The example keeps the port that was given.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        let example = SocketAddr::new(LISTEN.ip(), port.unwrap_or(LISTEN.port()));
        format!("`{text}` is no address with a port; write for example {example}")
    })
}

/// A number and `ms` or `s`; a bare number is milliseconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, seconds) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 0.001),
    };
    let number = number.trim().parse::<f64>().ok();
    let duration = number.and_then(|number| Duration::try_from_secs_f64(number * seconds).ok());
    duration.ok_or_else(|| format!("`{text}` is not a duration; write for example `20ms` or `1.5s`"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        Command::try_parse_from(std::iter::once(&"lumo-simulator").chain(flags)).map(|command| command.args)
    }

    #[test]
    fn without_flags_it_is_the_plain_server() {
        assert_eq!(parse(&[]).unwrap().quirks(), Quirks::default());
    }

    #[test]
    fn single_flags_change_the_preset() {
        let flags = ["--preset", "stringly", "--order", "newest", "--over-cap", "refuse-422", "--total", "100"];
        let quirks = parse(&[&flags[..], &["--extra-fields", "--blocked", "hidden"]].concat()).unwrap().quirks();
        let expected = Quirks {
            order: Order::Newest,
            over_cap: OverCap::Refuse422,
            total: Total::CappedAt(100),
            extra_fields: true,
            blocked: Visibility::Hidden,
            ..Quirks::preset("stringly").unwrap()
        };
        assert_eq!(quirks, expected);
    }

    #[test]
    fn nonsense_is_refused() {
        for flags in [["--preset", "nice"], ["--page-cap", "0"], ["--latency", "soon"], ["--total", "many"]] {
            assert!(parse(&flags).is_err(), "{flags:?}");
        }
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("7"), Ok(Duration::from_millis(7)));
        for text in ["", "-1s", "soon", "2m"] {
            let refused = format!("`{text}` is not a duration; write for example `20ms` or `1.5s`");
            assert_eq!(duration(text), Err(refused));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_one_of_the_same_port() {
        assert_eq!(address("[::1]:80"), Ok("[::1]:80".parse().unwrap()));
        for (text, example) in [
            ("18750", "127.0.0.1:18750"),
            (":18750", "127.0.0.1:18750"),
            ("localhost:18750", "127.0.0.1:18750"),
            ("127.0.0.1", "127.0.0.1:8700"),
            ("", "127.0.0.1:8700"),
        ] {
            let refused = format!("`{text}` is no address with a port; write for example {example}");
            assert_eq!(address(text), Err(refused));
        }
    }

    #[tokio::test]
    async fn it_runs_until_the_future_ends() {
        let args = parse(&["--listen", "127.0.0.1:0", "--wallets", "3", "--deposits", "5", "--life", "50"]).unwrap();
        run(args, std::future::ready(())).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = taken.local_addr().unwrap().to_string();
        let args = parse(&["--listen", &listen, "--wallets", "0", "--deposits", "0"]).unwrap();
        let error = run(args, std::future::ready(())).await.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(said.starts_with(&format!("cannot listen on {listen}: ")) && said.contains("`--listen`"), "{said}");
    }
}
