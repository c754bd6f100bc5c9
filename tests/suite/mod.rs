mod assets;
mod assets_publish;
mod store;
