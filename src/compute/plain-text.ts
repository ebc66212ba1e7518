/** What a host says, for people: lines and tabs stay, anything else that a terminal would obey goes. */
export function plainText(text: string): string {
  return text.replace(/\r\n/g, '\n').replace(/(?![\n\t])\p{Cc}/gu, '');
}
