"""The manifest, what is wrong with it, and the Plan that it compiles to.

`reader.read_pipelines` is the one way in: `omnipipe validate`, `omnipipe serve`, the admission webhook and the operator
all call it (or `read_object`, for an object that is no file). `compiler.compile_plan` makes the Plan, `render` shows
it. Pure: nothing here opens a file, reads the clock or imports a family; families are passed in.
"""
