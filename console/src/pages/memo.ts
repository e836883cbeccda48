// A component that repaints only when a property is another object. (Preact keeps its own in preact/compat, which is 4 KB.)
import { Component, h, type ComponentType, type VNode } from 'preact';

export function memo<P extends object>(Inner: ComponentType<P>): ComponentType<P> {
    return class Memo extends Component<P> {
        override shouldComponentUpdate(next: P): boolean {
            const old = this.props as Record<string, unknown>;
            const fresh = next as Record<string, unknown>;
            return Object.keys(fresh).some((k) => fresh[k] !== old[k]);
        }
        override render(): VNode {
            return h(Inner, this.props as P) as unknown as VNode;
        }
    } as unknown as ComponentType<P>;
}
