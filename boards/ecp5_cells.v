// Behaviour of ECP5's hard cells, as far as the accelerator uses them.

module DP16KD (
  input CLKA, CEA, OCEA, WEA, RSTA, CSA0, CSA1, CSA2, ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6,
    ADA7, ADA8, ADA9, ADA10, ADA11, ADA12, ADA13,
  input DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12, DIA13,
    DIA14, DIA15, DIA16, DIA17,
  input CLKB, CEB, OCEB, WEB, RSTB, CSB0, CSB1, CSB2, ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6,
    ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13,
  input DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13,
    DIB14, DIB15, DIB16, DIB17,
  output DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13,
    DOA14, DOA15, DOA16, DOA17,
  output DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12, DOB13,
    DOB14, DOB15, DOB16, DOB17
);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG",
    RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC", CSDECODE_A = "0b000", CSDECODE_B = "0b000",
    CLKAMUX = "CLKA", CLKBMUX = "CLKB", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL",
    GSR = "AUTO";
  parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0,
    INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0, INITVAL_08 = 0,
    INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0, INITVAL_0C = 0, INITVAL_0D = 0,
    INITVAL_0E = 0, INITVAL_0F = 0, INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0,
    INITVAL_13 = 0, INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0,
    INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0, INITVAL_1C = 0,
    INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0, INITVAL_20 = 0, INITVAL_21 = 0,
    INITVAL_22 = 0, INITVAL_23 = 0, INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0,
    INITVAL_27 = 0, INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0,
    INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0, INITVAL_30 = 0,
    INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0, INITVAL_34 = 0, INITVAL_35 = 0,
    INITVAL_36 = 0, INITVAL_37 = 0, INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0,
    INITVAL_3B = 0, INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0;

  // A word of 36 bits goes in at both ports, with the address of A, and comes out at both. Only A
  // writes, so that the write mode of B means nothing. Bytes have nine bits.
  localparam WIDE = DATA_WIDTH_A == 36;
  initial if (WIDE != (DATA_WIDTH_B == 36)) $fatal(1, "only one port of 36 bits");

  wire [13:0] ada = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2,
    ADA1, ADA0};
  wire [13:0] adb = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2,
    ADB1, ADB0};
  wire [17:0] dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7,
    DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [17:0] dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7,
    DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire [3:0] enable = {4{WEA & CEA}} & (WIDE ? ada[3:0] : DATA_WIDTH_A == 18 ? {2'b00, ada[1:0]} :
    4'b0001);
  wire [35:0] written = {dib, dia};
  reg [8:0] bytes[0:2047];
  reg [35:0] latch_a = 0, latch_b = 0, output_a = 0, output_b = 0;
  integer k;
  initial for (k = 0; k < 2048; k = k + 1) bytes[k] = 0;

  function [35:0] word(input integer width, input [13:0] address);
    case (width)
      36: word = {bytes[{address[13:5], 2'd3}], bytes[{address[13:5], 2'd2}],
        bytes[{address[13:5], 2'd1}], bytes[{address[13:5], 2'd0}]};
      18: word = {bytes[{address[13:4], 1'd1}], bytes[{address[13:4], 1'd0}]};
      9: word = bytes[address[13:3]];
      4: word = bytes[address[13:3]][{address[2], 2'd0} +: 4];
      2: word = bytes[address[13:3]][{address[2:1], 1'd0} +: 2];
      default: word = bytes[address[13:3]][address[2:0]];
    endcase
  endfunction

  always @(posedge CLKA) begin
    if (CEA && (!WEA || WRITEMODE_A == "READBEFOREWRITE")) latch_a <= word(DATA_WIDTH_A, ada);
    if (OCEA) output_a <= latch_a;
    if (WEB && CEB) $fatal(1, "port B writes");
  end

  always @(posedge CLKB) begin
    if (CEB) latch_b <= word(DATA_WIDTH_B, adb);
    if (OCEB) output_b <= latch_b;
  end

  always @(posedge CLKA)
    case (DATA_WIDTH_A)
      36: for (k = 0; k < 4; k = k + 1)
        if (enable[k]) bytes[{ada[13:5], k[1:0]}] <= written[9 * k +: 9];
      18: for (k = 0; k < 2; k = k + 1)
        if (enable[k]) bytes[{ada[13:4], k[0]}] <= written[9 * k +: 9];
      9: if (enable[0]) bytes[ada[13:3]] <= dia[8:0];
      4: if (enable[0]) bytes[ada[13:3]][{ada[2], 2'd0} +: 4] <= dia[3:0];
      2: if (enable[0]) bytes[ada[13:3]][{ada[2:1], 1'd0} +: 2] <= dia[1:0];
      default: if (enable[0]) bytes[ada[13:3]][ada[2:0]] <= dia[0];
    endcase

  wire [35:0] shown_a = REGMODE_A == "OUTREG" ? output_a : latch_a;
  wire [35:0] shown_b = REGMODE_B == "OUTREG" ? output_b : latch_b;
  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
    DOA4, DOA3, DOA2, DOA1, DOA0}
    = WIDE ? shown_b[17:0] : shown_a[17:0];
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
    DOB4, DOB3, DOB2, DOB1, DOB0}
    = WIDE ? shown_b[35:18] : shown_b[17:0];
endmodule

module MULT18X18D (
  input CLK0, CE0, RST0,
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11,
    A12, A13, A14, A15, A16, A17, B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13,
    B14, B15, B16, B17, C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15,
    C16, C17,
  output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17, P18,
    P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35
);
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE", REG_OUTPUT_CLK = "NONE";

  wire [18:0] shown_a = {SIGNEDA & A17, A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6,
    A5, A4, A3, A2, A1, A0};
  wire [18:0] shown_b = {SIGNEDB & B17, B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6,
    B5, B4, B3, B2, B1, B0};
  reg signed [18:0] held_a = 0, held_b = 0;
  wire signed [18:0] a = REG_INPUTA_CLK == "CLK0" ? held_a : $signed(shown_a);
  wire signed [18:0] b = REG_INPUTB_CLK == "CLK0" ? held_b : $signed(shown_b);
  wire signed [37:0] product = a * b;
  reg [35:0] held = 0;
  always @(posedge CLK0)
    if (RST0) begin
      held_a <= 0; held_b <= 0; held <= 0;
    end else if (CE0) begin
      held_a <= shown_a; held_b <= shown_b; held <= product[35:0];
    end
  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
    P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = REG_OUTPUT_CLK == "CLK0" ? held : product[35:0];
endmodule
