//! The dashboard: one page built into the program, which asks the API like anybody else.
//!
//! Nothing is fetched from elsewhere and nothing runs that is not in these files: the policy says so to the browser.
//! The files themselves are no secret; what they show is behind [`super::access`]. Every address in them is relative, so the
//! page also works under a path of a reverse proxy.

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::Redirect;
use axum::routing::get;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Where each file is, what it is, and the file.
const FILES: [(&str, &str, &str); 14] = [
    ("/dashboard/", HTML, include_str!("dashboard/index.html")),
    ("/dashboard/style.css", CSS, include_str!("dashboard/style.css")),
    ("/dashboard/main.js", JS, include_str!("dashboard/main.js")),
    ("/dashboard/attention.js", JS, include_str!("dashboard/attention.js")),
    ("/dashboard/charts.js", JS, include_str!("dashboard/charts.js")),
    ("/dashboard/client.js", JS, include_str!("dashboard/client.js")),
    ("/dashboard/day.js", JS, include_str!("dashboard/day.js")),
    ("/dashboard/event.js", JS, include_str!("dashboard/event.js")),
    ("/dashboard/filters.js", JS, include_str!("dashboard/filters.js")),
    ("/dashboard/lists.js", JS, include_str!("dashboard/lists.js")),
    ("/dashboard/morph.js", JS, include_str!("dashboard/morph.js")),
    ("/dashboard/overview.js", JS, include_str!("dashboard/overview.js")),
    ("/dashboard/page.js", JS, include_str!("dashboard/page.js")),
    ("/dashboard/things.js", JS, include_str!("dashboard/things.js")),
];

pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let router = FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(async move || ([(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, POLICY)], text)))
    });
    // Relative: what leads here may have another path for whoever asked.
    let lead = async || Redirect::temporary("dashboard/");
    router.route("/", get(lead)).route("/dashboard", get(lead))
}
