/**
 * The grid library writes its styles into style elements, which a strict content security policy
 * refuses. It may write them into a container of our choice: this one is not in the page, and each
 * style put into it is adopted by the page as a constructed sheet, which the policy allows.
 */
class StyleHolder {
  readonly element = document.createElement('div');
  private readonly sheets = new WeakMap<Element, CSSStyleSheet>();
  private adopted: CSSStyleSheet[] = [];

  constructor() {
    const { element } = this;
    element.insertBefore = <T extends Node>(node: T, before: Node | null): T => {
      const put = Node.prototype.insertBefore.call(element, node, before) as T;
      this.attend(node);
      return put;
    };
    new MutationObserver(() => this.adopt()).observe(element, { childList: true });
  }

  /** Later styles are put after earlier ones: that too must be seen at once, before measuring. */
  private attend(node: Node): void {
    if (!(node instanceof HTMLStyleElement)) return;
    node.after = (...nodes: (Node | string)[]) => {
      Element.prototype.after.apply(node, nodes);
      for (const one of nodes) if (one instanceof Node) this.attend(one);
    };
    this.adopt();
  }

  private adopt(): void {
    const others = document.adoptedStyleSheets.filter((sheet) => !this.adopted.includes(sheet));
    this.adopted = [...this.element.children].map((style) => this.sheetOf(style));
    document.adoptedStyleSheets = [...others, ...this.adopted];
  }

  private sheetOf(style: Element): CSSStyleSheet {
    const known = this.sheets.get(style);
    if (known) return known;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style.textContent ?? '');
    this.sheets.set(style, sheet);
    return sheet;
  }
}

const holder = new StyleHolder();
export const gridStyleContainer = holder.element;
/** All of it lies in a layer, so that our own plain rules always win. */
export const gridStyleLayer = 'grid';
