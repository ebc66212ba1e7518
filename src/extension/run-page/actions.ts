import type { Action } from '../../../webview/run/contract.ts';

/** The command behind each button of the page. */
export const runActions: Record<Action, string> = {
  cancel: 'runyard.cancelRun',
  rerun: 'runyard.rerun',
  rerunWithChanges: 'runyard.rerunWithChanges',
  delete: 'runyard.deleteRun',
  copyId: 'runyard.copyRunId',
  openLog: 'runyard.openLog',
  openSnapshot: 'runyard.openSnapshot',
  compareWithFolder: 'runyard.compareWithFolder',
  download: 'runyard.downloadRun',
  serverLog: 'runyard.showServerLog',
};
