'use strict';
(() => {
  const all = (selector, run) => document.querySelectorAll(selector).forEach(run);
  const status = document.getElementById('status');
  const say = (text) => {
    status.textContent = '';
    setTimeout(() => { status.textContent = text; }, 50);
  };

  // Where the clipboard is refused (plain http on a public name) the text is left selected.
  const copy = async (source) => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch {
      getSelection().selectAllChildren(source);
      return document.execCommand('copy');
    }
  };

  all('[data-copy]', (button) => {
    const label = button.firstElementChild;
    button.hidden = false;
    button.addEventListener('click', async () => {
      const done = await copy(document.querySelector(button.dataset.copy));
      say(done ? 'Copied' : 'Selected, copy it with the keyboard');
      label.textContent = done ? 'Copied' : 'Selected';
      setTimeout(() => { label.textContent = 'Copy'; }, 2000);
    });
  });

  all('[data-reveal]', (button) => {
    const field = document.querySelector(button.dataset.reveal);
    button.hidden = false;
    button.addEventListener('click', () => {
      const shown = field.type === 'password';
      field.type = shown ? 'text' : 'password';
      button.setAttribute('aria-pressed', shown);
    });
  });

  // A second click would be a second signup, and its answer would hide the key of the first.
  all('form[data-once]', (form) => {
    const button = form.querySelector('[type=submit]');
    const label = button.textContent;
    let sent = false;
    const reset = () => { sent = false; button.textContent = label; };
    form.addEventListener('submit', (event) => {
      if (sent) return event.preventDefault();
      sent = true;
      button.textContent = form.dataset.once;
      setTimeout(reset, 10000);
    });
    addEventListener('pageshow', reset);
  });
})();
