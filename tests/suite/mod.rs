mod assets;
mod assets_publish;
