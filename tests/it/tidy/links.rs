//! What the documents point at: files of the repository, and headings in them.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::{clean, files, root};

const AT_THE_ROOT: [&str; 6] =
    ["README.md", "README.ru.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];

/// Every document, by its path.
fn documents() -> Vec<(String, String)> {
    let mut documents = files(&["docs"], "md");
    for name in AT_THE_ROOT {
        documents.push((name.to_owned(), fs::read_to_string(root().join(name)).unwrap()));
    }
    documents
}

/// What stands before the target of a link or of a picture, and what stands behind it.
const AROUND: [(&str, char); 3] = [("](", ')'), (" src=\"", '"'), (" srcset=\"", '"')];

/// The targets of a document's links to files of the repository, its pictures among them, and to its own headings.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = AROUND
        .into_iter()
        .flat_map(move |(before, behind)| text.split(before).skip(1).filter_map(move |rest| rest.split(behind).next()));
    targets.filter(|link| !link.contains("://") && !link.starts_with("mailto:") && !link.contains("::"))
}

#[test]
fn the_documents_point_at_files_that_exist() {
    let mut breaches = Vec::new();
    for (document, text) in documents() {
        let here = root().join(&document).parent().unwrap().to_owned();
        let mut expect = |path: &str, from: &Path| {
            if !from.join(path).exists() {
                breaches.push(format!("{document}: `{path}` does not exist: correct the document, or bring the file"));
            }
        };
        for quoted in text.split('`').skip(1).step_by(2).filter(|quoted| is_ours(quoted)) {
            expect(quoted.split([':', '#']).next().unwrap(), root());
        }
        for link in links(&text).filter_map(|link| link.split('#').next()) {
            expect(link, &here);
        }
    }
    clean("documents name files that exist:", breaches);
}

#[test]
fn the_documents_point_at_headings_that_exist() {
    let mut breaches = Vec::new();
    let documents = documents();
    let mut pointed_at = 0;
    for (document, text) in &documents {
        for (path, anchor) in links(text).filter_map(|link| link.split_once('#')) {
            let target =
                if path.is_empty() { root().join(document) } else { root().join(document).with_file_name(path) };
            let Some(target) =
                fs::canonicalize(&target).ok().filter(|target| target.extension() == Some("md".as_ref()))
            else {
                continue;
            };
            pointed_at += 1;
            if !anchors(&fs::read_to_string(&target).unwrap()).contains(anchor) {
                breaches.push(format!("{document}: there is no heading `{path}#{anchor}`"));
            }
        }
    }
    assert!(pointed_at > 30, "links to headings are not found any more: {pointed_at}");
    clean("documents point at headings that exist:", breaches);
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> HashSet<String> {
    let mut is_code = false;
    let mut anchors = HashSet::new();
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        let title = line.trim_start_matches('#');
        if is_code || title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().chars().filter(|char| char.is_alphanumeric() || [' ', '-', '_'].contains(char));
        anchors.insert(kept.collect::<String>().to_lowercase().replace(' ', "-"));
    }
    anchors
}

/// Whether what stands in backticks is a path in this repository, and not one of the reader's own or a pattern.
fn is_ours(quoted: &str) -> bool {
    const THEIRS: &[&str] = &["config/lumo-bridge.yaml"];
    let folders = ["src/", "tests/", "docs/", "config/", "entity/", "migration/", "simulator/", "benches/", ".ci/"];
    folders.iter().any(|folder| quoted.starts_with(folder))
        && !quoted.contains([' ', '*', '<', '{', '…'])
        && !THEIRS.contains(&quoted)
}
