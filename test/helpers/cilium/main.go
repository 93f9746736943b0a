// The real cilium/ebpf as an oracle: what it makes of an object's CO-RE relocations with a given BTF.
//
// Reads lines "OBJECT\tBTF" and prints, for each program of the object by name, a line for each relocation, or why
// there is none; then "= done".
package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	kernels := lastKernel{}
	for lines.Scan() {
		object, kernel, _ := strings.Cut(lines.Text(), "\t")
		if err := relocate(out, object, kernel, &kernels); err != nil {
			fmt.Fprintf(out, "refused: %v\n", err)
		}
		fmt.Fprintln(out, "= done")
		out.Flush()
	}
}

// lastKernel remembers one kernel: many objects on one full BTF in turn parse it once.
type lastKernel struct {
	path string
	spec *btf.Spec
}

func (last *lastKernel) load(path string) (*btf.Spec, error) {
	if last.path == path {
		return last.spec, nil
	}
	spec, err := btf.LoadSpec(path)
	if err != nil {
		return nil, err
	}
	last.path, last.spec = path, spec
	return spec, nil
}

func relocate(out *bufio.Writer, object, kernel string, kernels *lastKernel) error {
	collection, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		return fmt.Errorf("object: %w", err)
	}
	target, err := kernels.load(kernel)
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	names := make([]string, 0, len(collection.Programs))
	for name := range collection.Programs {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		program := collection.Programs[name]
		var relos []*btf.CORERelocation
		for i := range program.Instructions {
			if relo := btf.CORERelocationMetadata(&program.Instructions[i]); relo != nil {
				relos = append(relos, relo)
			}
		}
		if len(relos) == 0 {
			continue
		}
		fixups, err := btf.CORERelocate(program.BTF, target, relos)
		if err != nil {
			fmt.Fprintf(out, "%s: %v\n", name, err)
			continue
		}
		for i := range fixups {
			fmt.Fprintf(out, "%s#%d: %s\n", name, i, &fixups[i])
		}
	}
	return nil
}
