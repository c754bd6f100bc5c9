// Runs in the editor's page: loads a graph as the editor does, and writes the prompt that it would
// queue. Every answer is text, so that nothing is lost on the way out of the page.
(() => {
  // So that `%date%` in file names is the same in every recording.
  const NOW = "2026-11-22T09:00:00Z";
  // What a node may still do once its graph is loaded is done by then.
  const SETTLED_MS = 20;
  const QUIET = {
    showMissingNodesDialog: false,
    showMissingModelsDialog: false,
    silentAssetErrors: true,
    skipAssetScans: true,
  };
  const editor = () => window.app ?? window.comfyAPI?.app?.app;
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  async function prompt() {
    const real = window.Date;
    window.Date = class extends real {
      constructor(...parts) {
        parts.length ? super(...parts) : super(NOW);
      }
    };
    try {
      return await editor().graphToPrompt();
    } finally {
      window.Date = real;
    }
  }

  // The editor shows what goes wrong while it loads and returns as if nothing was.
  async function load(begin, expected) {
    const shown = [];
    const real = console.error;
    console.error = (...parts) => shown.push(parts.map(String).join(" "));
    try {
      await begin();
    } finally {
      console.error = real;
    }
    const found = editor().graph.nodes.length;
    if (expected !== undefined && found !== expected) {
      throw new Error(`loaded ${found} of ${expected} nodes: ${shown.join("; ")}`);
    }
  }

  async function convert(ui) {
    const expected = ui.nodes.length;
    await load(() => editor().loadGraphData(ui, true, false, null, QUIET), expected);
    const first = await prompt();
    await pause(SETTLED_MS);
    const second = await prompt();
    const same = JSON.stringify(first.output) === JSON.stringify(second.output);
    return { api: first.output, saved: second.workflow, ...(same ? {} : { later: second.output }) };
  }

  const answer = async (work) => {
    try {
      return JSON.stringify(await work());
    } catch (error) {
      return JSON.stringify({ error: String(error) });
    }
  };

  window.mmf = {
    isReady: () => {
      const known = window.LiteGraph?.registered_node_types ?? {};
      const hasNodes = ["KSampler", "MarkdownNote", "PrimitiveNode", "Reroute"].every((name) => name in known);
      if (!hasNodes || !editor()?.graph || !editor().canvas) return false;
      // Nobody looks, and drawing takes longer than loading.
      editor().canvas.pause_rendering = true;
      return true;
    },
    convert: (text) => answer(() => convert(JSON.parse(text))),
    // The graph that the editor draws for a prompt.
    draw: (text) =>
      answer(async () => {
        await load(() => editor().loadApiJson(JSON.parse(text), "prompt"));
        await pause(SETTLED_MS);
        const { workflow, output } = await prompt();
        return { ui: workflow, api: output };
      }),
  };
})();
