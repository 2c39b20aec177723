package deb

import "strings"

// The processors that dpkg knows, and the abbreviations of architectures that
// are more than "processor on GNU/Linux": dpkg's cputable and tupletable.
const (
	processors = " alpha amd64 arc arm arm64 armeb avr32 hppa i386 ia64 loong64 m32r m68k mips mips64 mips64el" +
		" mips64r6 mips64r6el mipsel mipsr6 mipsr6el nios2 or1k powerpc powerpcel ppc64 ppc64el riscv64" +
		" s390 s390x sh3 sh3eb sh4 sh4eb sparc sparc64 tilegx "
	variants = " armhf armel mipsn32 mipsn32el mipsn32r6 mipsn32r6el powerpcspe x32 arm64ilp32 "
	systems  = " linux kfreebsd knetbsd kopensolaris hurd dragonflybsd freebsd openbsd netbsd darwin aix solaris" +
		" uclinux mint musl-linux uclibc-linux "
)

func inWords(words, s string) bool {
	return s != "" && strings.IndexByte(s, ' ') < 0 && strings.Contains(words, " "+s+" ")
}

// KnownArchitecture reports whether dpkg knows a machine architecture of this
// name, such as amd64, armhf or musl-linux-arm64. "all", "any", "source" and
// wildcards are none.
func KnownArchitecture(arch string) bool {
	if inWords(processors, arch) || inWords(variants, arch) {
		return true
	}
	dash := strings.LastIndexByte(arch, '-')
	if dash < 0 {
		return false
	}
	system, cpu := arch[:dash], arch[dash+1:]
	switch system {
	case "linux":
		return false // spelled by the processor alone
	case "mint":
		return cpu == "m68k"
	case "musl-linux", "kfreebsd":
		return inWords(processors, cpu) || cpu == "armhf"
	case "uclibc-linux", "uclinux":
		return inWords(processors, cpu) || cpu == "armel"
	}
	return inWords(systems, system) && inWords(processors, cpu)
}

// ArchitectureMatches reports whether an architecture is, or falls under, a
// name or wildcard of an architecture list (Policy 11.1): amd64, any, linux-any,
// any-amd64, musl-any-arm64. "all" is matched by "all" alone.
func ArchitectureMatches(arch, wildcard string) bool {
	if arch == wildcard {
		return arch != ""
	}
	if wildcard == "any" {
		return KnownArchitecture(arch)
	}
	want, ok := wildcardTuple(wildcard)
	if !ok || !KnownArchitecture(arch) {
		return false
	}
	have := architectureTuple(arch)
	for i := range want {
		if want[i] != "any" && want[i] != have[i] {
			return false
		}
	}
	return true
}

// validRestriction reports whether s may stand in a list such as [linux-any
// !i386].
func validRestriction(s string) bool {
	if s == "any" || s == "all" || KnownArchitecture(s) {
		return true
	}
	_, ok := wildcardTuple(s)
	return ok
}

// wildcardTuple splits a wildcard into ABI, C library, system and processor,
// as dpkg does: missing parts in front are "any".
func wildcardTuple(s string) (tuple [4]string, ok bool) {
	if !strings.Contains("-"+s+"-", "-any-") {
		return tuple, false
	}
	parts := strings.Split(s, "-")
	if len(parts) < 2 || len(parts) > len(tuple) {
		return tuple, false
	}
	for i := range tuple {
		tuple[i] = "any"
	}
	copy(tuple[len(tuple)-len(parts):], parts)
	systemOK := tuple[2] == "any" || inWords(systems, tuple[2])
	cpuOK := tuple[3] == "any" || inWords(processors, tuple[3])
	return tuple, systemOK && cpuOK
}

// architectureTuple returns ABI, C library, system and processor of a known
// architecture.
func architectureTuple(arch string) [4]string {
	libc, system, cpu := "gnu", "linux", arch
	if dash := strings.LastIndexByte(arch, '-'); dash >= 0 {
		system, cpu = arch[:dash], arch[dash+1:]
		if l, s, ok := strings.Cut(system, "-"); ok {
			libc, system = l, s
		}
	}
	libc = libraryOf(libc, system)
	if t, ok := variantTuples[cpu]; ok {
		return [4]string{t[0], libc, system, t[1]}
	}
	if strings.HasPrefix(cpu, "mips64") && system == "linux" && libc == "gnu" {
		return [4]string{"abi64", libc, system, cpu}
	}
	return [4]string{"base", libc, system, cpu}
}

// libraryOf corrects the C library for systems that do not use the GNU one.
func libraryOf(libc, system string) string {
	switch system {
	case "dragonflybsd", "freebsd", "openbsd", "netbsd", "darwin":
		return "bsd"
	case "aix", "solaris":
		return "sysv"
	case "uclinux":
		return "uclibc"
	case "mint":
		return "tos"
	}
	return libc
}

// variantTuples holds ABI and processor of the abbreviations that name both.
var variantTuples = map[string][2]string{
	"armhf":       {"eabihf", "arm"},
	"armel":       {"eabi", "arm"},
	"mipsn32":     {"abin32", "mips64"},
	"mipsn32el":   {"abin32", "mips64el"},
	"mipsn32r6":   {"abin32", "mips64r6"},
	"mipsn32r6el": {"abin32", "mips64r6el"},
	"powerpcspe":  {"spe", "powerpc"},
	"x32":         {"x32", "amd64"},
	"arm64ilp32":  {"ilp32", "arm64"},
}
