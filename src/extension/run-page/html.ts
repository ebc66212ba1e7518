import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';

/** The page's frame: a strict policy, one script, one style sheet. Content comes by messages. */
export function pageHtml(webview: vscode.Webview, root: vscode.Uri, title: string): string {
  const nonce = randomBytes(16).toString('base64');
  const asset = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(root, name)).toString();
  const policy = [
    `default-src 'none'`,
    `img-src ${webview.cspSource} blob:`,
    `style-src ${webview.cspSource}`,
    `script-src 'nonce-${nonce}'`,
    `connect-src 'none'`,
    `base-uri 'none'`,
    `form-action 'none'`,
  ].join('; ');
  const attribute = (text: string) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;');
  return `<!DOCTYPE html>
<html lang="${attribute(vscode.env.language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${attribute(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${attribute(title).replaceAll('<', '&lt;')}</title>
<link rel="stylesheet" href="${attribute(asset('run.css'))}">
</head>
<body>
<div id="page"></div>
<script type="module" nonce="${nonce}" src="${attribute(asset('run.js'))}"></script>
</body>
</html>`;
}
