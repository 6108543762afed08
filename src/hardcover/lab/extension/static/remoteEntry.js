// A notebook's toolbar says what became of its module at the last save, and a notification says why it was kept as it was.
//
// JupyterLab loads a prebuilt extension as a container of webpack's module federation: an object with `init`, which gets the shared
// modules, and `get`, which returns a factory. This one is written by hand, so that nothing has to be built.
window._JUPYTERLAB = window._JUPYTERLAB || {};
window._JUPYTERLAB.hardcover = (() => {
  let shared;

  const use = async (name) => (await Object.values(shared[name])[0].get())();

  const words = {
    exported: (found) => `✓ ${found.module} exported`,
    unchanged: (found) => `✓ ${found.module} says the same`,
    kept: (found) => `✗ ${found.module || 'module'} kept as it was`
  };

  const plugin = async () => {
    const [apputils, coreutils, notebook, services, widgets] = await Promise.all(
      ['@jupyterlab/apputils', '@jupyterlab/coreutils', '@jupyterlab/notebook', '@jupyterlab/services', '@lumino/widgets'].map(use)
    );
    const settings = services.ServerConnection.makeSettings();

    const outcome = async (path) => {
      const place = coreutils.URLExt.join(settings.baseUrl, 'hardcover', 'exported');
      const asked = `${place}?path=${encodeURIComponent(path)}`;
      const answer = await services.ServerConnection.makeRequest(asked, {}, settings);
      return answer.ok ? answer.json() : { state: 'none' };
    };

    const watch = (panel) => {
      const badge = new widgets.Widget();
      badge.addClass('hardcover-export');
      badge.node.style.cssText = 'align-self: center; padding: 0 8px; font-size: 12px; white-space: nowrap';
      panel.toolbar.insertBefore('spacer', 'hardcover', badge) || panel.toolbar.addItem('hardcover', badge);
      let told = null;
      panel.context.saveState.connect(async (_, state) => {
        if (state !== 'completed') return;
        const found = await outcome(panel.context.path);
        if (badge.isDisposed || !words[found.state]) return;
        badge.node.textContent = words[found.state](found);
        badge.node.title = found.why;
        badge.node.dataset.state = found.state;
        badge.node.style.color = found.state === 'kept' ? 'var(--jp-error-color1)' : 'var(--jp-ui-font-color2)';
        if (told !== null) apputils.Notification.dismiss(told);
        told = null;
        if (found.state === 'kept') {
          told = apputils.Notification.error(`${found.module} is as it was: ${found.why}`, { autoClose: false });
        }
      });
    };

    return {
      id: 'hardcover:saving',
      description: 'Says what became of a notebook\'s module when it was saved.',
      autoStart: true,
      requires: [notebook.INotebookTracker],
      activate: (_, tracker) => {
        tracker.forEach(watch);
        tracker.widgetAdded.connect((_, panel) => watch(panel));
      }
    };
  };

  return {
    init: (scope) => { shared = scope; },
    get: async () => {
      const made = await plugin();
      return () => ({ __esModule: true, default: made });
    }
  };
})();
