//! What the bridge is deployed with: the image, the containers, the unit and the alerts name commands that exist, files that
//! are there and settings that load.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use clap::Parser;
use clap::error::ErrorKind::MissingRequiredArgument;
use config::{FileFormat, Format, Value, ValueKind};
use lumo_bridge::cli::Cli;
use lumo_bridge::config::Config;
use lumo_simulator::{Answer, World};
use serde_json::{Value as Json, json};

use crate::admin::client::Client;
use crate::database::Database;
use crate::world::{PATIENCE, SECRET, Stage, not_run};

const PROGRAM: &str = "/usr/local/bin/lumo-bridge";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Json {
    parsed(path, &text(path))
}

fn parsed(path: &str, text: &str) -> Json {
    let table = FileFormat::Yaml.parse(None, text).unwrap_or_else(|error| panic!("{path}: {error}"));
    Value::new(None, ValueKind::Table(table)).try_deserialize().unwrap()
}

/// Loads a configuration whose secrets are files, of which each path begins so, and gives the rest of the paths.
fn with_secrets(configuration: &str, beginning: &str) -> (Config, BTreeSet<String>) {
    let folder = tempfile::tempdir().unwrap();
    let files = configuration.split("{ file: ").skip(1).map(|rest| rest.split(' ').next().unwrap());
    let name = |file: &str| file.strip_prefix(beginning).unwrap_or_else(|| panic!("{file} is elsewhere")).to_owned();
    let names: BTreeSet<String> = files.map(name).collect();
    for name in &names {
        let secret = match name.as_str() {
            "database-url" => "postgres://lumo_bridge:hush@database/shop",
            "shop-webhook" => SECRET,
            _ => "lb2b_0123456789abcdef",
        };
        fs::write(folder.path().join(name), secret).unwrap();
    }
    let file = folder.path().join("config.yaml");
    fs::write(&file, configuration.replace(beginning, &format!("{}/", folder.path().display()))).unwrap();
    let config = Config::load(Some(&file), []).unwrap().config;
    let problems: Vec<String> = config.check_secrets().iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{problems:?}");
    (config, names)
}

/// Asserts that the program takes these words.
fn assert_command<'a>(words: impl IntoIterator<Item = &'a str>) {
    let words: Vec<_> = words.into_iter().collect();
    assert_eq!(words.first(), Some(&PROGRAM), "{words:?}");
    if let Err(error) = Cli::try_parse_from(&words) {
        panic!("{words:?}: {error}");
    }
}

/// The lists in brackets that follow these words of a Dockerfile.
fn list(line: &str) -> Vec<String> {
    serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap()
}

#[test]
fn the_image_runs_the_daemon_as_nobody_and_asks_it_how_it_is() {
    let file = text("Dockerfile");
    let line = |start: &str| file.lines().rfind(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}"));
    let entry = list(line("ENTRYPOINT"));
    let run = [entry.clone(), list(line("CMD"))].concat();
    assert_command(run.iter().map(String::as_str));
    assert_command(list(line("HEALTHCHECK")).iter().map(String::as_str));
    assert_eq!(line("USER"), "USER nonroot");
    assert!(line("COPY --from=program").ends_with(PROGRAM));
    let manifest = text("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(line("FROM rust:").starts_with(&format!("FROM rust:{version}-")), "it is built with Rust {version}");
    assert!(text(".dockerignore").lines().any(|line| line == ".env"), "no secret goes into a layer");
}

#[test]
fn the_containers_are_given_what_their_configuration_names() {
    let compose = yaml("packaging/compose.yaml");
    let bridge = &compose["services"]["bridge"];
    let build = root().join("packaging").join(bridge["build"].as_str().unwrap());
    assert!(build.join("Dockerfile").exists());
    let mount = bridge["volumes"][0].as_str().unwrap();
    let (file, place) = mount.split_once(':').unwrap();
    assert!(place.starts_with(text("Dockerfile").split_once("LUMO_BRIDGE_CONFIG=").unwrap().1.lines().next().unwrap()));
    for service in bridge["depends_on"].as_object().unwrap().keys() {
        assert!(compose["services"][service]["healthcheck"].is_object(), "{service} cannot be waited for");
    }

    // As the container sees it.
    let given = bridge["environment"].as_object().unwrap();
    let url = given["LUMO_BRIDGE__DATABASE__URL"].as_str().unwrap();
    let url = format!("{}hush{}", &url[..url.find("${").unwrap()], &url[url.find('}').unwrap() + 1..]);
    let env = [("LUMO_BRIDGE__DATABASE__URL".to_owned(), url)];
    let config = Config::load(Some(&root().join("packaging").join(file)), env).unwrap().config;
    assert_eq!(config.database.url.to_string(), "postgres://shop:***@database/shop");
    let named: Vec<String> = config.check_secrets().iter().map(|problem| problem.problem.clone()).collect();
    assert!(!named.is_empty(), "secrets come from the environment");
    for problem in named {
        let variable = problem.split('`').nth(1).unwrap();
        assert!(given.contains_key(variable), "{variable} is not given to the container");
        assert!(text("packaging/compose.yaml").contains(&format!("#   {variable}=")), "{variable} is not explained");
    }
    let port = config.server.listen.unwrap().port();
    assert_eq!(bridge["ports"], json!([format!("127.0.0.1:{port}:{port}")]), "the dashboard is for this machine alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_runs_two_with_their_secrets_and_asks_them_how_they_are() {
    let path = "packaging/kubernetes.yaml";
    let manifest = text(path);
    let documents: Vec<Json> = manifest.split("\n---\n").map(|document| parsed(path, document)).collect();
    let kinds: Vec<_> = documents.iter().map(|document| document["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ConfigMap", "Deployment", "Service"]);
    let [map, deployment, service] = &documents[..] else { unreachable!() };
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!((&deployment["spec"]["replicas"], &pod["enableServiceLinks"]), (&json!(2), &json!(false)));
    assert!(container["image"].as_str().unwrap().ends_with(concat!("lumo-bridge:", env!("CARGO_PKG_VERSION"))));
    let command = container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    assert_command([PROGRAM].into_iter().chain(command));

    let mount = |name: &str| {
        let mounts = container["volumeMounts"].as_array().unwrap();
        mounts.iter().find(|mount| mount["name"] == name).unwrap()["mountPath"].as_str().unwrap().to_owned()
    };
    assert!(text("Dockerfile").contains(&format!("LUMO_BRIDGE_CONFIG={}/config.yaml\n", mount("config"))));
    let configuration = map["data"]["config.yaml"].as_str().unwrap();
    let (config, secrets) = with_secrets(configuration, &format!("{}/", mount("secrets")));
    for secret in secrets {
        assert!(manifest.contains(&format!("--from-literal={secret}=")), "{secret} is not made");
    }
    let listen = config.server.listen.unwrap();
    assert!(listen.ip().is_unspecified(), "nobody outside of the container reaches it");
    assert_eq!(container["ports"][0]["containerPort"], listen.port());
    assert_eq!(service["spec"]["ports"][0]["targetPort"], container["ports"][0]["name"]);
    assert_eq!(service["spec"]["selector"], deployment["spec"]["template"]["metadata"]["labels"]);

    let mut stage = Stage::new(Database::sqlite().await, World::new(1)).await;
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    stage.until_imported().await;
    for probe in ["livenessProbe", "readinessProbe"] {
        let path = container[probe]["httpGet"]["path"].as_str().unwrap();
        let answer = client.request(reqwest::Method::GET, path).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
    }
    bridge.stop().await;
}

#[test]
fn the_configuration_of_the_service_names_the_secrets_that_the_unit_hands_over() {
    let unit = text("packaging/lumo-bridge.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("LoadCredential=")).unwrap();
    let (name, folder) = line.split_once(':').unwrap();
    let (config, secrets) =
        with_secrets(&text("packaging/service.yaml"), &format!("/run/credentials/lumo-bridge.service/{name}_"));
    assert!(config.server.token.is_some(), "a proxy in front is a caller on this machine");
    for secret in secrets {
        assert!(text("docs/deploy.md").contains(&format!("{folder}/{secret}\n")), "{secret} is not made");
    }
}

#[test]
fn the_unit_names_commands_that_exist_and_is_sound() {
    let unit = text("packaging/lumo-bridge.service");
    let values =
        |key: &str| unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect::<Vec<_>>();
    for command in values("ExecStart") {
        assert_command(command.split(' '));
    }
    assert_eq!(values("ExecReload"), ["kill -HUP $MAINPID"]);
    assert_eq!(values("Type"), ["notify"]);
    assert_eq!(values("RestartPreventExitStatus"), ["2"], "the exit code of a wrong configuration");

    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return not_run("systemd's own opinion of the unit: systemd-analyze is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lumo-bridge.service");
    fs::write(&file, unit.replace(PROGRAM, env!("CARGO_BIN_EXE_lumo-bridge"))).unwrap();
    for arguments in [&["verify"][..], &["security", "--offline=true", "--threshold=20"]] {
        let output = Command::new("systemd-analyze").args(arguments).arg(&file).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let complaints = String::from_utf8_lossy(&output.stderr).contains("lumo-bridge.service:");
        assert!(!complaints, "{arguments:?}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_health_check_says_how_the_daemon_is() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(1)).await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    stage
        .settings
        .set("server", json!({ "listen": format!("0.0.0.0:{port}"), "token": { "value": "a token, long enough" } }));
    for listing in ["wallets", "blocked", "deposits"] {
        stage.settings.set(&format!("sync.{listing}.schedule"), json!("@yearly"));
    }
    let gone = stage.command(&["health"]).await;
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    assert!(gone.stderr.contains(&format!("the daemon on 127.0.0.1:{port} does not answer")), "{}", gone.stderr);
    assert!(gone.stderr.contains("hint"), "{}", gone.stderr);

    let mut bridge = stage.daemon();
    bridge.until_logged("started", PATIENCE).await;
    let well = stage.command(&["health"]).await;
    assert_eq!((well.status.code(), well.stdout.as_str()), (Some(0), "ok\n"), "{well:?}");
    stage.until_imported().await;
    let ready = stage.command(&["health", "--ready", "--json"]).await;
    let document: Json = serde_json::from_str(&ready.stdout).unwrap();
    assert_eq!((ready.status.code(), &document["is_healthy"]), (Some(0), &json!(true)));
    // With no round until next year nobody corrects what is written here.
    let stalled = "UPDATE lumo_sync_state SET stalled_since = '2026-01-01 00:00:00.000000' WHERE listing = 'wallets'";
    stage.database.execute(stalled).await;
    let behind = stage.command(&["health", "--ready"]).await;
    assert_eq!(behind.status.code(), Some(1), "{behind:?}");
    assert!(behind.stdout.contains("not complete since"), "{behind:?}");
    bridge.stop().await;

    stage.settings.set("server.listen", Json::Null);
    let mute = stage.command(&["health"]).await;
    assert_eq!(mute.status.code(), Some(2), "{mute:?}");
    assert!(mute.stderr.contains("`server.listen` is null"), "{}", mute.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_health_check_believes_no_other_program() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(1)).await;
    let address = stage.receiver.url("").replace("http://", "");
    stage.settings.set("server.listen", json!(address));
    let answers = |body: &'static str| {
        stage.receiver.script(move |_| Answer { body: body.into(), ..Answer::status(200) });
    };
    for arguments in [&["health"][..], &["health", "--ready"]] {
        answers(r#"{"status":"UP"}"#);
        let other = stage.command(arguments).await;
        assert_eq!((other.status.code(), other.stdout.as_str()), (Some(1), ""), "{other:?}");
        let words = format!("another program than lumo-bridge answers on {address}");
        assert!(other.stderr.contains(&words) && other.stderr.contains("hint"), "{}", other.stderr);
        let told = stage.command(&[arguments, &["--json"]].concat()).await;
        let document: Json = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!((told.status.code(), &document["is_healthy"]), (Some(1), &json!(false)), "{told:?}");
    }
    for (arguments, body) in [(&["health"][..], "ok\n"), (&["health", "--ready"], r#"{"ready":true}"#)] {
        answers(body);
        let well = stage.command(arguments).await;
        assert_eq!(well.status.code(), Some(0), "{well:?}");
    }
}

/// A step that is no action can be run here just as it is run there.
#[test]
fn a_workflow_runs_nothing_but_scripts_of_the_repository() {
    let mut scripts = 0;
    for entry in fs::read_dir(root().join(".github/workflows")).unwrap() {
        let path = format!(".github/workflows/{}", entry.unwrap().file_name().to_str().unwrap());
        let workflow = yaml(&path);
        assert!(workflow["permissions"].is_object(), "{path} has all the rights there are");
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            assert!(job["timeout-minutes"].is_number(), "{path}: {name} may run for ever");
            for step in job["steps"].as_array().unwrap() {
                let Some(run) = step["run"].as_str() else {
                    let action = step["uses"].as_str().unwrap();
                    assert!(action.contains('@'), "{path}: {action} names no version");
                    continue;
                };
                let mode = fs::metadata(root().join(run)).unwrap_or_else(|error| panic!("{path}: `{run}`: {error}"));
                assert!(mode.permissions().mode() & 0o111 != 0, "{path}: {run} cannot be executed");
                scripts += 1;
            }
        }
    }
    assert!(scripts > 0);
}

/// The alerts of the rules for Prometheus.
fn alerts() -> Vec<Json> {
    let rules = yaml("packaging/prometheus/lumo-bridge.rules.yml");
    let groups = rules["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
}

#[test]
fn each_alert_says_what_is_wrong_and_names_commands_that_exist() {
    let tests = text("packaging/prometheus/rules_test.yml");
    let mut names = Vec::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap().to_owned();
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} is in no test of the rules");
        assert!(alert["annotations"]["summary"].is_string(), "{name}");
        let description = alert["annotations"]["description"].as_str().unwrap();
        let description = description.replace("{{ $labels.endpoint }}", "shop");
        let mut commands = 0;
        for listing in ["wallets", "blocked", "deposits"] {
            let said = description.replace("{{ $labels.listing }}", listing);
            for command in said.split('`').skip(1).step_by(2).filter(|code| code.starts_with("lumo-bridge ")) {
                commands += 1;
                if let Err(error) = Cli::try_parse_from(command.split(' ')) {
                    // One may be named without what it takes.
                    assert_eq!(error.kind(), MissingRequiredArgument, "{name}: `{command}`: {error}");
                }
            }
        }
        assert!(commands > 0, "{name} names no command: {description}");
        names.push(name);
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), alerts().len(), "each alert has a name of its own");
}

#[test]
fn the_dashboard_for_grafana_asks_for_its_data_source() {
    let dashboard: Json = serde_json::from_str(&text("packaging/grafana/lumo-bridge.json")).unwrap();
    assert_eq!(dashboard["__inputs"][0]["name"], "DS_PROMETHEUS");
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 12, "{}", panels.len());
    let mut places = Vec::new();
    for panel in panels {
        let source = json!({ "type": "prometheus", "uid": "${DS_PROMETHEUS}" });
        assert_eq!(panel["datasource"], source, "{}", panel["title"]);
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", panel["title"]);
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"], source, "{}", panel["title"]);
            assert!(target["expr"].as_str().unwrap().contains("job=\"$job\""), "{target}");
        }
        places.push((panel["gridPos"]["y"].as_u64(), panel["gridPos"]["x"].as_u64(), panel["id"].as_u64()));
    }
    let all = places.len();
    places.sort_unstable();
    places.dedup_by_key(|(y, x, _)| (*y, *x));
    assert_eq!(places.len(), all, "no panel lies on another");
}
