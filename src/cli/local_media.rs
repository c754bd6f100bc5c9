//! Media that is named by a bare name on the command line.
//!
//! In a template such a name is that of something in the server's input folder. Whoever writes it on
//! a shell may as well mean the file in the folder that they are in.

use serde_json::{Map, Value};

use super::report;
use crate::app::App;
use crate::comfy::{ComfyError, Folder, OutputFile};
use crate::jobs::MediaSource;
use crate::script::{Declaration, Type};

/// Takes the files of this folder for names that the server does not have, and says which is taken
/// where a name can mean both.
pub(super) async fn find(app: &App, declaration: &Declaration, arguments: &mut Map<String, Value>) {
    let host = app.host();
    let media = |ty| matches!(ty, Type::Image | Type::Video | Type::Audio);
    for param in declaration.params.iter().filter(|param| media(param.ty)) {
        let Some(Value::String(name)) = arguments.get_mut(&param.name) else {
            continue;
        };
        let is_told = MediaSource::of(name, &host.project_dir).is_some();
        if is_told || !host.project_dir.join(&*name).is_file() {
            continue;
        }
        let of_server = OutputFile {
            filename: name.clone(),
            subfolder: String::new(),
            folder: Folder::Input,
        };
        match host.comfy.view(&of_server).await {
            Ok(_) => report::note(format_args!(
                "note: --{} {name} is the one in the server's input folder; ./{name} is the one here",
                param.name
            )),
            Err(ComfyError::NoSuchFile { .. }) => {
                report::note(format_args!("--{}: uploading ./{name}", param.name));
                *name = format!("./{name}");
            }
            // Whatever comes next meets it as well, and tells it.
            Err(_) => {}
        }
    }
}
