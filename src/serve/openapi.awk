# SPDX-License-Identifier: MIT
# openapi.awk - makes assembly of openapi.json, which puts it into the library as it is. Text and all
# rather than .incbin: what was made changes with the document, so it is built anew.
BEGIN {
    print "    .section .rodata"
    print "    .hidden weft_openapi_json"
    print "    .hidden weft_openapi_json_end"
    print "    .globl weft_openapi_json"
    print "weft_openapi_json:"
}
{
    gsub(/[\\"]/, "\\\\&")
    print "    .ascii \"" $0 "\\n\""
}
END {
    print "    .globl weft_openapi_json_end"
    print "weft_openapi_json_end:"
    print "    .section .note.GNU-stack, \"\", %progbits"
}
