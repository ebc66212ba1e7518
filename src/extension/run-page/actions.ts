import type { Action } from '../../../webview/run/contract.ts';

/** The command behind each button of the page. */
export const runActions: Record<Action, string> = {
  cancel: 'runyard.cancelRun',
  rerun: 'runyard.rerun',
  delete: 'runyard.deleteRun',
  copyId: 'runyard.copyRunId',
  openLog: 'runyard.openLog',
  download: 'runyard.downloadRun',
  serverLog: 'runyard.showServerLog',
};
